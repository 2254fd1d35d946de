"""Links between replicas: streams to the agents of another one."""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from perijove_platform import __version__
from perijove_platform.ids import new_id
from perijove_platform.sessions import links
from perijove_platform.sessions.links import LinkRegistry, begin
from perijove_platform.sessions.tokens import InvalidToken, sign, verify
from perijove_platform.tunnel import ChannelClosed, Link, ProtocolError, Stream, StreamReset
from perijove_platform.tunnel.handshake import MAX_REPLICAS, Hello, TextChannel, Welcome, receive_hello, say_hello
from perijove_platform.tunnel.websocket import ClientChannel, DialFailed, dial

logger = logging.getLogger(__name__)

PATH = "/v1/peers/link"
PURPOSE = "pjpeer"
TOKEN_SECONDS = 60
DIAL_SECONDS = 5.0
PAUSE_SECONDS = 1.0
"""After a replica could not be reached nobody waits for it again for so long."""
WAIT_SECONDS = 3.0
LIMITS = replace(links.LIMITS, streams=8192)
"""Of a link between replicas, which leads to every cluster."""


class PeerLinks:
    """A link to each replica that was needed, dialled here, and those that other replicas dialled.

    Between replicas no link is resumed: a stream that breaks with one is opened again by whoever needs it.

    Args:
        replica_id: of this replica.
        links: what it holds itself, for streams that others open here.
        ca: file of certificates (PEM) that have signed the others', besides the system's.
    """

    def __init__(self, replica_id: str, links: LinkRegistry, *, ca: Path | None = None) -> None:
        self._replica_id = replica_id
        self._links = links
        self._ca = ca
        self._tls: ssl.SSLContext | None = None
        self._secret = b""
        self._dialled: dict[str, Link] = {}
        self._accepted: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[str, asyncio.Lock] = {}
        self._not_before: dict[str, float] = {}

    def start(self, secret: bytes) -> None:
        """Raises `OSError` when the certificates cannot be read."""
        self._secret = secret
        if self._ca is not None:
            self._tls = ssl.create_default_context()
            self._tls.load_verify_locations(self._ca)

    def close(self) -> None:
        """Give every link up; their streams fail."""
        for link in (*self._dialled.values(), *self._accepted):
            link.close()

    async def stop(self) -> None:
        self.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def link_to(self, replica_id: str, url: str) -> Link | None:
        """The link to another replica, dialled when there is none; ``None`` when it cannot be reached."""
        if len(self._turns) > MAX_REPLICAS:  # those that are gone
            self._turns = {known: turn for known, turn in self._turns.items() if turn.locked()}
            self._not_before.clear()
        async with self._turns.setdefault(replica_id, asyncio.Lock()):
            link = self._dialled.get(replica_id)
            if link is not None and not link.closed:
                return link
            if time.monotonic() < self._not_before.get(replica_id, 0.0):
                return None
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    return await self._dial(replica_id, url)
            except (DialFailed, ChannelClosed, ProtocolError, TimeoutError) as error:
                logger.warning("Replica %s cannot be reached at %s: %s", replica_id, url, error)
                self._not_before[replica_id] = time.monotonic() + PAUSE_SECONDS
                return None

    async def _dial(self, replica_id: str, url: str) -> Link:
        token, _ = sign(self._secret, PURPOSE, {"to": replica_id}, seconds=TOKEN_SECONDS)
        address = url.rstrip("/").replace("http", "ws", 1) + PATH
        channel = await dial(address, headers={"Authorization": f"Bearer {token}"}, tls=self._tls)
        try:
            hello = Hello(link=None, received=0, agent=self._replica_id, version=__version__)
            await say_hello(channel, hello)
        except BaseException:
            await channel.close()
            raise
        link = self._dialled[replica_id] = Link(initiator=True, limits=LIMITS)
        task = asyncio.create_task(self._carry(replica_id, link, channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return link

    async def _carry(self, replica_id: str, link: Link, channel: ClientChannel) -> None:
        try:
            await link.serve(channel, 0)
        except (ChannelClosed, ProtocolError) as error:
            logger.info("The link to replica %s has ended: %s", replica_id, error)
        finally:
            link.close("link_lost", "The link to the replica that holds the cluster's is lost.")
            if self._dialled.get(replica_id) is link:
                del self._dialled[replica_id]

    def admits(self, token: str) -> bool:
        """Whether another replica of this platform shows `token` to this one."""
        try:
            return bool(verify(self._secret, PURPOSE, token)["to"] == self._replica_id)
        except InvalidToken:
            return False

    async def serve(self, channel: TextChannel) -> None:
        """Carry the streams that another replica opens, until its channel is cut.

        Raises:
            ChannelClosed, ProtocolError, TimeoutError: it has been.
        """
        await receive_hello(channel)
        welcome = Welcome(
            link=new_id("link_"), received=0, resumed=False, replica=self._replica_id, replicas=(self._replica_id,)
        )
        await channel.send_text(welcome.to_json())
        link = Link(initiator=False, accept=self._accept, limits=LIMITS)
        self._accepted.add(link)
        try:
            await link.serve(channel, 0)
        finally:
            self._accepted.discard(link)
            link.close()

    async def _accept(self, stream: Stream, target: Mapping[str, Any]) -> None:
        cluster_id = str(target.get("cluster"))
        link = await self._links.wait_for(cluster_id, WAIT_SECONDS)
        if link is None:
            stream.reset("cluster_unreachable", f"No agent of cluster '{cluster_id}' is connected.")
            return
        try:
            inner = begin(link, {name: value for name, value in target.items() if name != "cluster"})
        except StreamReset as error:
            stream.reset(error.code, error.message)
            return
        await relay(stream, inner)


async def relay(outer: Stream, inner: Stream) -> None:
    """Join a stream that another replica opened with the one to the agent, until both directions have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(outer, inner))
            group.create_task(_answer(inner, outer))
    except* StreamReset as failures:
        failure = failures.exceptions[0]
        assert isinstance(failure, StreamReset)
        outer.reset(failure.code, failure.message)
        inner.reset(failure.code, failure.message)
    finally:
        inner.reset()


async def _answer(inner: Stream, outer: Stream) -> None:
    await inner.wait_opened()
    outer.accept(inner.info)
    await _pump(inner, outer)


async def _pump(source: Stream, sink: Stream) -> None:
    while data := await source.read():
        await sink.write(data)
    sink.finish()
