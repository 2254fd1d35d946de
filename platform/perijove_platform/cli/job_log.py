"""A job's log: as it is, and as it grows, also over breaks of the connection."""

import codecs
from collections.abc import Callable, Iterable, Iterator

import httpx

from perijove_platform.cli.failures import Failed, Json, Silent
from perijove_platform.cli.following import Patience, follow
from perijove_platform.cli.session import Session

_ANCHOR_BYTES = 4096
"""So much of what was read last is kept, to find the place again: a log that was rotated has no steady offsets."""
_WINDOW_BYTES = 1 << 20
"""So much of the log's end is searched for that place."""
_TIMEOUT = httpx.Timeout(10, read=60)
_MISSING = b"\n[the connection was lost; a part of the log may be missing here]\n"


def whole_log(session: Session, job_url: str, *, tail: int | None) -> Iterator[str]:
    """Its lines, or the last `tail` of them."""
    with session.stream("GET", f"{job_url}/logs", params=_query(tail=tail), timeout=_TIMEOUT) as answer:
        yield from answer.iter_lines()


def follow_log(session: Session, job_url: str, *, tail: int | None, ended: Callable[[Json], bool]) -> Iterator[str]:
    """Its lines as they are written, until the job has ended.

    Raises:
        Failed: the platform refused.
        Unreachable: the platform was lost, and stayed away.
    """
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    unfinished = ""
    for chunk in _LogReader(session, job_url).follow(tail, ended):
        *lines, unfinished = (unfinished + decode(chunk)).split("\n")
        yield from lines
    if unfinished := unfinished + decode(b"", final=True):
        yield unfinished


class _LogReader:
    """Reads one log, piece by piece; remembers the end of what it has read."""

    def __init__(self, session: Session, job_url: str) -> None:
        self._session = session
        self._job_url = job_url
        self._patience = Patience(session)
        self._anchor = b""
        self._answered = False

    def follow(self, tail: int | None, ended: Callable[[Json], bool]) -> Iterator[bytes]:
        had_ended = False
        while True:
            try:
                yield from self._new(tail)
                if had_ended:
                    return
                # A log stops with the run, also when that is paused or its platform stops: the job says which it was.
                had_ended = self._wait_for_more(ended)
            except Silent:
                # The run has nothing to say, or the link is dead: the next connection tells.
                if not self._answered:
                    raise
                self._patience.get(self._job_url)
            except Failed as error:
                if not self._answered:
                    raise
                self._patience.lost(error)

    def _new(self, tail: int | None) -> Iterator[bytes]:
        """What comes after what was read, until the stream ends or breaks."""
        if self._anchor:
            # What is there already comes without `follow`, so that a place that cannot be found is known at once.
            there = b"".join(self._chunks(tail_bytes=_WINDOW_BYTES))
            _, found, new = there.partition(self._anchor)
            if not found:
                yield _MISSING
                self._anchor, new = b"", there
            yield from self._remembered([new])
        if self._anchor:
            yield from self._remembered(self._after_anchor(self._chunks(tail_bytes=_WINDOW_BYTES, follow=True)))
        else:
            yield from self._remembered(self._chunks(tail=tail, follow=True))

    def _after_anchor(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        before = b""
        for chunk in chunks:
            before += chunk
            _, found, rest = before.partition(self._anchor)
            if found:
                yield rest
                yield from chunks
                return
            before = before[-_WINDOW_BYTES:]

    def _chunks(self, *, follow: bool = False, **part: int | None) -> Iterator[bytes]:
        query = _query(follow=follow, **part)
        with self._session.stream("GET", f"{self._job_url}/logs", params=query, timeout=_TIMEOUT) as answer:
            self._answered = True
            for chunk in answer.iter_bytes():
                self._patience.answered()
                yield chunk

    def _remembered(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._anchor = (self._anchor + chunk)[-_ANCHOR_BYTES:]
            yield chunk

    def _wait_for_more(self, ended: Callable[[Json], bool]) -> bool:
        """Whether the job has ended; else returns after its next change."""
        self._patience.get(self._job_url)
        with follow(self._session) as changes:
            job = changes.get(self._job_url)
            if ended(job):
                return True
            state = changes.next_state(job["object"], job["id"], self._job_url)
            return state is None


def _query(*, follow: bool = False, **part: int | None) -> dict[str, str]:
    """`part` is `tail`, in lines, or `tail_bytes`."""
    given = {name: str(value) for name, value in part.items() if value is not None}
    return {"follow": str(follow).lower(), **given}
