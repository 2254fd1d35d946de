"""Following what the platform does for longer than one connection to it lasts."""

import contextlib
import json
import time
from collections.abc import Generator, Iterator
from typing import Any

import click
import httpx

from perijove_platform.cli.failures import Failed, Json, Lost, Unreachable
from perijove_platform.cli.session import Session

AWAY_SECONDS = 120.0
"""How long a platform may stay away before a command that follows it gives up."""
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
# A stream that ends sooner than this, without an event, is no sign of a platform that works again.
_STOOD_SECONDS = 10.0
# The platform sends a comment every 15 s: silence for longer means that the link is dead.
_TIMEOUT = httpx.Timeout(10, read=60)

RESUMED = ("reset", "resumed")
"""Types of the events that say: what you wait for may have changed unseen, so read it again."""


class Patience:
    """Bears a platform that restarts, or a link that breaks, but not without end."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lost_at: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS

    def answered(self) -> None:
        """The platform is back."""
        self._lost_at = None
        self._pause = _FIRST_PAUSE_SECONDS

    def lost(self, reason: Failed) -> None:
        """Wait before the next try.

        Raises:
            Failed: `reason`, when trying again is of no use.
            Unreachable: the platform has been away for `AWAY_SECONDS`.
        """
        if not reason.passing:
            raise reason
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            if not self._session.as_json:
                click.echo(f"The platform was lost; trying again for up to {AWAY_SECONDS:g} seconds.", err=True)
        away = now - self._lost_at
        if away >= AWAY_SECONDS:
            raise Unreachable(
                f"The platform stayed away for {away:.0f} seconds. {reason.message} Run the command again once "
                "`perijove status` answers."
            ) from None
        time.sleep(min(self._pause, AWAY_SECONDS - away))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        # Where it cannot be found, the next try says so.
        with contextlib.suppress(Unreachable):
            self._session.find_platform()

    def get(self, path: str, **params: object) -> Json:
        """The JSON answer, however often it takes. Raises as `lost` does."""
        while True:
            try:
                answer = self._session.call("GET", path, params=params, timeout=_TIMEOUT)
            except Failed as error:
                self.lost(error)
            else:
                self.answered()
                return answer


class Events:
    """What changes in the project from now on, without end: an iterator of `{"id", "type", "object_id", "data"}`.

    A stream that breaks or ends is resumed after the last event that came; `RESUMED` tells of it. `next` raises as
    `Patience.lost` does.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._patience = Patience(session)
        self._last_id: str | None = None
        self._stands_since = 0.0
        self._stream = self._events()

    def open(self) -> None:
        """Returns once the stream stands, so that nothing which happens after it goes unseen."""
        next(self._stream)

    def close(self) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Json]:
        return self

    def __next__(self) -> Json:
        return next(self._stream)

    def get(self, path: str, **params: object) -> Json:
        """The JSON answer; waits for a platform that is away."""
        # With a patience of its own: that this is answered does not say that the stream is.
        return Patience(self._session).get(path, **params)

    def next_state(self, kind: str, object_id: str, path: str) -> Json | None:
        """The object after its next change, or as `path` gives it after a break; ``None`` once it is deleted."""
        for event in self:
            if event["type"] in RESUMED:
                return self.get(path)
            if event["object_id"] != object_id:
                continue
            if event["type"] == f"{kind}.deleted":
                return None
            if event["type"] in (f"{kind}.created", f"{kind}.updated"):
                state: Json = event["data"]
                return state
        raise AssertionError("the stream has no end")

    def _events(self) -> Generator[Json, None, None]:
        """The first is the sign that the stream stands."""
        while True:
            self._stands_since = time.monotonic()
            reason: Failed
            try:
                yield from self._connection()
                reason = Lost("It ended the event stream.")
            except Failed as error:
                if self._last_id is None:
                    raise
                reason = error
            if time.monotonic() - self._stands_since >= _STOOD_SECONDS:
                self._patience.answered()
            self._patience.lost(reason)

    def _connection(self) -> Iterator[Json]:
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        with self._session.stream("GET", "/v1/events", headers=headers, timeout=_TIMEOUT) as answer:
            self._stands_since = time.monotonic()
            stands = False
            for event_id, data in _frames(answer.iter_lines()):
                if event_id:
                    self._last_id = event_id
                if not stands:
                    stands = True
                    yield {"type": "resumed", "object_id": "", "data": {}}
                if data:
                    self._patience.answered()
                    yield json.loads(data)


@contextlib.contextmanager
def follow(session: Session) -> Iterator[Events]:
    """What changes in the project from now on, so that nothing has to be asked for again and again."""
    events = Events(session)
    try:
        events.open()
        yield events
    finally:
        events.close()


def _frames(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Id and data of each server-sent event; one that breaks off has no blank line after it and is left out."""
    fields: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif not line:
            yield fields.get("id", ""), fields.get("data", "")
            fields = {}
