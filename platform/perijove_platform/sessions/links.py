"""The links that this replica holds to agents: made, resumed, given up."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from perijove_platform.ids import new_id
from perijove_platform.tunnel import Channel, ChannelClosed, Limits, Link, ProtocolError, Refused, Stream
from perijove_platform.tunnel.handshake import LINK_GRACE_SECONDS

logger = logging.getLogger(__name__)

MAX_LINKS = 32
"""Of one cluster: twice the replicas that the agent's chart allows, as there may be while they are replaced."""
LIMITS = Limits(streams=4096, ping_seconds=2.0, silence_seconds=6.0)
"""Of a link to an agent, which takes no more streams."""
KEPT_STREAMS = 256
"""Of each link, for what the platform does itself: people's requests do not get them."""


class DialledTwice(Exception):
    """The agent has a link to this replica already: one whose channel stands, or one that it did not name now."""


class TooManyLinks(Exception):
    """The cluster has `MAX_LINKS`, and each has its channel."""


@dataclass(eq=False)
class HeldLink:
    """A link and what is beneath it now.

    Attributes:
        agent: instance id of the agent that dialled.
        version: of its program.
        serving: carries the streams over the present channel; ``None`` while the link waits for one.
    """

    id: str
    cluster_id: str
    agent: str
    link: Link
    version: str = ""
    serving: asyncio.Task[None] | None = None
    expiry: asyncio.TimerHandle | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def connected(self) -> bool:
        return self.serving is not None

    async def cut(self) -> None:
        """Take the channel away, if there is one; the link then waits for another."""
        serving = self.serving
        if serving is not None:
            serving.cancel()
            await asyncio.wait([serving])


def begin(link: Link, target: Mapping[str, Any], limits: Limits = LIMITS) -> Stream:
    """`Link.begin`, which leaves `KEPT_STREAMS` of the link's `limits` free when `target` is a person's.

    Raises:
        Refused, StreamReset: as `Link.begin`.
    """
    if "as" in target and link.streams >= limits.streams - KEPT_STREAMS:
        raise Refused("too_many_streams", "The cluster has as many open requests as it can have. End some first.")
    return link.begin(target)


class LinkRegistry:
    """The links by cluster.

    Args:
        changed: called with a cluster's id when one of its links has got or lost its channel.
    """

    def __init__(self, changed: Callable[[str], None], *, grace_seconds: float = LINK_GRACE_SECONDS) -> None:
        self._changed = changed
        self._grace_seconds = grace_seconds
        self._links: dict[str, list[HeldLink]] = {}
        self._arrival = asyncio.Event()
        self._closing = False

    def standing(self) -> dict[str, str]:
        """Cluster by id of each link that has a channel."""
        return {held.id: held.cluster_id for held in self._all() if held.connected}

    def agent_versions(self, cluster_id: str) -> dict[str, str]:
        """Version by instance id of each agent of the cluster that has a channel here."""
        return {held.agent: held.version for held in self._links.get(cluster_id, ()) if held.connected}

    def connected(self) -> list[Link]:
        """Every link that has a channel."""
        return [held.link for held in self._all() if held.connected]

    def choose(self, cluster_id: str) -> Link | None:
        """The link with the fewest streams of those that have a channel."""
        usable = [held.link for held in self._links.get(cluster_id, ()) if held.connected]
        return min(usable, key=lambda link: link.streams, default=None)

    def waits(self, cluster_id: str) -> bool:
        """Whether there is a link, be it one without a channel."""
        return cluster_id in self._links

    async def wait_for(self, cluster_id: str, seconds: float) -> Link | None:
        """`choose`, once a link that was cut a moment ago has its channel again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (link := self.choose(cluster_id)) is None and self._links.get(cluster_id):
                    await self._arrival.wait()
                return link
        return None

    async def claim(self, cluster_id: str, agent: str, link_id: str | None) -> tuple[HeldLink, bool]:
        """The link for an agent that has dialled, and whether it is the one that it named.

        Its former channel is cut, so that `Link.received` does not change any more.

        Raises:
            ChannelClosed: this replica is about to stop.
            DialledTwice, TooManyLinks: see there.
        """
        if self._closing:
            raise ChannelClosed("This replica is about to stop.")
        held = next((held for held in self._links.get(cluster_id, ()) if held.id == link_id), None)
        if held is not None:
            await held.cut()
            if held in self._links.get(cluster_id, ()):
                return held, True
        for other in [held for held in self._links.get(cluster_id, ()) if held.agent == agent]:
            if other.connected or link_id is not None:
                # An agent whose links to several replicas were cut offers one after the other, to whoever answers.
                raise DialledTwice(f"Link {other.id} of this agent stands or waits for its channel.")
            self.give_up(other)  # the agent has forgotten it
        return self._make(cluster_id, agent), False

    def _make(self, cluster_id: str, agent: str) -> HeldLink:
        links = self._links.setdefault(cluster_id, [])
        if len(links) >= MAX_LINKS:
            waiting = next((held for held in links if not held.connected), None)
            if waiting is None:
                raise TooManyLinks(
                    f"{MAX_LINKS} agents of this cluster are linked here, the most there can be. Run fewer."
                )
            self.give_up(waiting)
        held = HeldLink(new_id("link_"), cluster_id, agent, Link(initiator=True, limits=LIMITS))
        links.append(held)
        self._expire_later(held)
        return held

    async def serve(self, held: HeldLink, channel: Channel, peer_received: int) -> None:
        """Carry the link's streams over `channel` until it is cut; returns then."""
        async with held.turn:
            if held.expiry is not None:
                held.expiry.cancel()
            if self._closing or held not in self._links.get(held.cluster_id, ()):
                return
            held.serving = asyncio.create_task(held.link.serve(channel, peer_received))
            self._arrived()
            self._changed(held.cluster_id)
            try:
                await asyncio.wait([held.serving])
            except asyncio.CancelledError:
                held.serving.cancel()
                await asyncio.wait([held.serving])
                raise
            finally:
                self._served(held)

    def _served(self, held: HeldLink) -> None:
        serving, held.serving = held.serving, None
        failure = serving.exception() if serving is not None and serving.done() and not serving.cancelled() else None
        if isinstance(failure, ProtocolError):
            logger.warning("Link %s of cluster %s cannot go on: %s", held.id, held.cluster_id, failure)
        elif failure is not None and not isinstance(failure, ChannelClosed):
            logger.error("Link %s of cluster %s failed", held.id, held.cluster_id, exc_info=failure)
        if failure is None or isinstance(failure, ChannelClosed):
            self._expire_later(held)
        else:
            self.give_up(held)
        self._changed(held.cluster_id)

    def close(self) -> None:
        """Close every link: their streams fail, so that whoever waits on one ends."""
        self._closing = True
        for held in list(self._all()):
            self.give_up(held)

    def _all(self) -> Iterator[HeldLink]:
        for links in self._links.values():
            yield from links

    def _expire_later(self, held: HeldLink) -> None:
        if held in self._links.get(held.cluster_id, ()):
            loop = asyncio.get_running_loop()
            held.expiry = loop.call_later(self._grace_seconds, self.give_up, held)

    def give_up(self, held: HeldLink) -> None:
        """Close a link for good."""
        links = self._links.get(held.cluster_id, [])
        if held in links:
            links.remove(held)
        if not links:
            self._links.pop(held.cluster_id, None)
        if held.expiry is not None:
            held.expiry.cancel()
        held.link.close()
        self._arrived()

    def _arrived(self) -> None:
        self._arrival.set()
        self._arrival = asyncio.Event()
