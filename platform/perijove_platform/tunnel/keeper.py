"""The dialling end: keeps a link to every replica of the platform."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from perijove_platform.tunnel.channel import ChannelClosed, CloseCode
from perijove_platform.tunnel.frames import ProtocolError
from perijove_platform.tunnel.handshake import LINK_GRACE_SECONDS, Hello, TextChannel, Welcome, say_hello
from perijove_platform.tunnel.link import Accept, Limits, Link
from perijove_platform.tunnel.websocket import DialFailed

# A channel that lived so long was a good one.
LASTING_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """Seconds between attempts; each is drawn from its upper half, so that agents do not dial in step.

    Attributes:
        first: after the first attempt that failed; doubled after each further one.
        failing: at most, while the platform cannot be reached.
        refused: at most, while it refuses this end's credential or one more link, which only a person can mend.
        missing: at most, while a replica lacks a link: which one answers is chance where a load balancer is between.
        settled: when every known replica has a link. That is how one that came later is found.
    """

    first: float = 0.2
    failing: float = 8.0
    refused: float = 30.0
    missing: float = 15.0
    settled: float = 300.0


@dataclass(eq=False)
class _Kept:
    """A link and the replica that has its other end."""

    id: str
    replica: str
    link: Link
    serving: asyncio.Task[None] | None = None
    expiry: asyncio.TimerHandle | None = None


class LinkKeeper:
    """Dials, resumes within the grace period what was cut, gives up after it.

    Args:
        dial: opens a channel to the platform, to whichever replica answers; raises `DialFailed`.
        hello: makes a hello of the link to resume and what of it has been received.
        accept: see `Link`.
        refused: called when the platform refuses this end's credential because of what the hello says.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[TextChannel]],
        hello: Callable[[str | None, int], Hello],
        *,
        accept: Accept | None = None,
        refused: Callable[[], None] = lambda: None,
        limits: Limits | None = None,
        grace_seconds: float = LINK_GRACE_SECONDS,
        pace: Pace | None = None,
    ) -> None:
        self._dial = dial
        self._hello = hello
        self._accept = accept
        self._refused = refused
        self._limits = limits
        self._grace_seconds = grace_seconds
        self._pace = pace or Pace()
        self._links: list[_Kept] = []
        self._replicas: set[str] = set()
        self._wake = asyncio.Event()
        self._attempts = 0

    @property
    def connected(self) -> bool:
        """Whether any link has a channel."""
        return any(kept.serving is not None for kept in self._links)

    @property
    def streams(self) -> int:
        """Of all links."""
        return sum(kept.link.streams for kept in self._links)

    def learn(self, replicas: Iterable[str]) -> None:
        """There are these replicas now: those without a link are dialled."""
        self._replicas = set(replicas)
        if not self._settled:
            self._attempts = 0
            self._wake.set()

    @property
    def _settled(self) -> bool:
        served = {kept.replica for kept in self._links if kept.serving is not None}
        return bool(served) and self._replicas <= served

    async def run(self) -> None:
        """Keep the links until cancelled; then they are given up, which the platform is told."""
        try:
            while True:
                self._wake.clear()
                delay = await self._attempt()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay * random.uniform(0.5, 1)):  # noqa: S311
                        await self._wake.wait()
                        await asyncio.sleep(self._next(self._pace.failing) * random.random())  # noqa: S311
        finally:
            for kept in self._links:
                kept.link.close("link_lost", "The agent is stopping.")
            await asyncio.gather(*(kept.serving for kept in self._links if kept.serving), return_exceptions=True)

    async def _attempt(self) -> float:
        """Dial once; the seconds until the next time."""
        try:
            channel = await self._dial()
        except DialFailed as error:
            _log.warning("%s", error)
            return self._next(self._pace.refused if error.status in (401, 403) else self._pace.failing)
        except Exception:  # a mistake in here must not end an agent that nobody watches
            _log.exception("The platform could not be dialled")
            return self._next(self._pace.failing)
        try:
            return await self._greet(channel)
        except ChannelClosed as error:
            await channel.close()
            if error.code == CloseCode.DUPLICATE:
                return self._pace.settled if self._settled else self._next(self._pace.missing)
            _log.warning("The platform ended the handshake: %s", error)
            if error.code == CloseCode.OTHER_CLUSTER:
                self._refused()
            if error.code in (CloseCode.OTHER_CLUSTER, CloseCode.TOO_MANY_LINKS):
                return self._next(self._pace.refused)
        except (ProtocolError, TimeoutError) as error:
            await channel.close(CloseCode.PROTOCOL_ERROR)
            _log.warning("The handshake failed: %s", error or "the platform did not answer in time.")
        except BaseException:
            await channel.close()
            raise
        return self._next(self._pace.failing)

    def _next(self, most: float) -> float:
        self._attempts += 1
        return min(most, self._pace.first * 2.0 ** min(self._attempts - 1, 16))

    async def _greet(self, channel: TextChannel) -> float:
        kept = self._to_resume()
        link_id, received = (kept.id, kept.link.received) if kept else (None, 0)
        welcome = await say_hello(channel, self._hello(link_id, received))
        self._replicas = {*welcome.replicas, welcome.replica}
        if kept is None or kept.link.closed or not welcome.resumed:
            if welcome.resumed:
                raise ProtocolError("The link was given up while it was being resumed.")
            kept = self._begin(welcome)
        if kept.expiry is not None:
            kept.expiry.cancel()
        _log.info("Link %s to replica %s %s", kept.id, kept.replica, "goes on" if welcome.resumed else "stands")
        kept.serving = asyncio.create_task(self._serve(kept, channel, welcome.received))
        return self._pace.settled if self._settled else self._pace.first

    def _to_resume(self) -> _Kept | None:
        """One that was cut, by chance: in turn, they could miss the replicas behind a balancer that takes turns too."""
        cut = [kept for kept in self._links if kept.serving is None]
        return random.choice(cut) if cut else None  # noqa: S311

    def _begin(self, welcome: Welcome) -> _Kept:
        """A new link. The replica has forgotten the one that it had, and so has whoever is not among the replicas."""
        for kept in list(self._links):
            if kept.replica == welcome.replica or (kept.replica not in self._replicas and kept.serving is None):
                self._give_up(kept)
        link = Link(initiator=False, accept=self._accept, limits=self._limits)
        kept = _Kept(welcome.link, welcome.replica, link)
        self._links.append(kept)
        return kept

    async def _serve(self, kept: _Kept, channel: TextChannel, peer_received: int) -> None:
        began, received = time.monotonic(), kept.link.received
        try:
            await kept.link.serve(channel, peer_received)
        except ChannelClosed as error:
            if not kept.link.closed:
                _log.info("Link %s is cut: %s", kept.id, error)
        except ProtocolError as error:
            _log.warning("Link %s cannot go on: %s", kept.id, error)
        finally:
            kept.serving = None
            if kept.link.closed:
                self._give_up(kept)
            else:
                kept.expiry = asyncio.get_running_loop().call_later(self._grace_seconds, self._expire, kept)
            if kept.link.received > received or time.monotonic() - began > LASTING_SECONDS:
                self._attempts = 0  # else the platform takes the link and drops it again, which must not spin
            self._wake.set()

    def _expire(self, kept: _Kept) -> None:
        _log.warning("Link %s was not resumed within %.0f s; its streams end", kept.id, self._grace_seconds)
        self._give_up(kept)

    def _give_up(self, kept: _Kept) -> None:
        if kept in self._links:
            self._links.remove(kept)
        if kept.expiry is not None:
            kept.expiry.cancel()
        kept.link.close()
