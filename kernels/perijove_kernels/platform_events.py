"""The platform's event stream, from a cell."""

import json
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from perijove_platform.discovery import NotRunning, connect

# The platform sends a comment every 15 s: silence for longer means that the link is dead.
SILENCE_SECONDS = 45.0
MAX_RETRIES = 8


@contextmanager
def follow() -> Iterator[Iterator[Mapping[str, Any]]]:
    """Events from the moment of entering, without end, resumed after a lost link or a restarted platform.

    Each is ``{"id", "type", "created_at", "object_id", "data"}``. A ``{"type": "reset"}`` says that events are
    missing: read again what you wait for.

    Raises:
        perijove_platform.discovery.NotRunning: the platform stayed away for `MAX_RETRIES` tries.
    """
    stream = _events()
    # The stream's own first word: it stands, so nothing that the caller starts from here on is missed.
    next(stream)
    try:
        yield stream
    finally:
        stream.close()


def _events() -> Generator[Mapping[str, Any], None, None]:
    last_id: str | None = None
    failures = 0
    while True:
        try:
            for field, value in _fields(last_id):
                failures = 0
                if field == "id":
                    if last_id is None:
                        yield {"type": "open"}
                    last_id = value
                elif field == "data":
                    yield json.loads(value)
        except (httpx.HTTPError, NotRunning) as error:
            failures += 1
            if failures > MAX_RETRIES:
                raise NotRunning(f"The platform's event stream broke and stayed broken: {error}") from error
            time.sleep(min(0.2 * 2**failures, 5.0))


def _fields(last_id: str | None) -> Iterator[tuple[str, str]]:
    """Fields of the server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6)."""
    connection = connect()
    headers = {"Authorization": f"Bearer {connection.api_key}", "Accept": "text/event-stream"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    timeout = httpx.Timeout(10.0, read=SILENCE_SECONDS)
    with httpx.stream("GET", f"{connection.base_url}/v1/events", headers=headers, timeout=timeout) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            field, separator, value = line.partition(":")
            if separator and field:
                yield field, value.removeprefix(" ")
