"""What another replica is told of a stream that it wants."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from perijove_platform.sessions import links
from perijove_platform.sessions.links import LinkRegistry
from perijove_platform.sessions.peers import PeerLinks
from perijove_platform.tunnel import ChannelClosed, Limits, Link, Refused
from perijove_platform.tunnel.handshake import Hello, TextChannel, say_hello


class Wire:
    """One end of a channel in memory."""

    def __init__(self, outgoing: "asyncio.Queue[bytes | str | None]", incoming: "asyncio.Queue[Any]") -> None:
        self._outgoing, self._incoming = outgoing, incoming

    async def send(self, message: bytes) -> None:
        await self._outgoing.put(message)

    async def send_text(self, message: str) -> None:
        await self._outgoing.put(message)

    async def receive(self) -> Any:
        message = await self._incoming.get()
        if message is None:
            raise ChannelClosed("cut")
        return message

    receive_text = receive

    async def close(self, code: int = 1000) -> None:
        self._outgoing.put_nowait(None)


def wires() -> tuple[TextChannel, TextChannel]:
    there: asyncio.Queue[Any] = asyncio.Queue()
    back: asyncio.Queue[Any] = asyncio.Queue()
    return Wire(there, back), Wire(back, there)


async def refusal(link: Link, target: Mapping[str, Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        await asyncio.wait_for(link.open(target), 60)
    return caught.value


async def test_a_link_that_takes_no_more_streams_says_so_to_another_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "LIMITS", Limits(streams=1))
    registry = LinkRegistry(lambda _: None)
    held, _ = await registry.claim("one", "agent", None)
    ours, theirs = wires()
    agents, _ = wires()
    serving = [
        asyncio.create_task(registry.serve(held, agents, 0)),
        asyncio.create_task(PeerLinks("replica_a", registry).serve(theirs)),
    ]
    await say_hello(ours, Hello(link=None, received=0, agent="replica_b", version="0"))
    link = Link(initiator=True)
    serving.append(asyncio.create_task(link.serve(ours, 0)))
    try:
        held.link.begin({"kind": "pod"})
        assert (await refusal(link, {"kind": "pod", "cluster": "one"})).code == "too_many_streams"
        registry.give_up(held)
        assert (await refusal(link, {"kind": "pod", "cluster": "one"})).code == "cluster_unreachable"
    finally:
        link.close()
        registry.close()
        await asyncio.gather(*serving, return_exceptions=True)
