"""Hello and welcome: what is taken, what is refused, how long it may take."""

import asyncio
import json
from typing import Any

import pytest
from perijove_platform.tunnel import ProtocolError, handshake
from perijove_platform.tunnel.handshake import Hello, KubernetesInfo, Welcome, receive_hello, say_hello

HELLO = {
    "protocol": 1, "link": "link_1", "received": 5, "agent": "agent-1", "version": "0.1.0",
    "kubernetes": {"version": "v1.34.4", "namespace": "perijove-agent", "uid": "0c8e-1"},
}  # fmt: skip
WELCOME = {
    "protocol": 1, "link": "link_1", "received": 7, "resumed": True, "replica": "replica_1",
    "replicas": ["replica_1", "replica_2"],
}  # fmt: skip


class Texts:
    """A channel that says what it was told to and keeps what it is told."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.sent: list[str] = []

    async def send_text(self, message: str) -> None:
        self.sent.append(message)

    async def receive_text(self) -> str:
        if not self._texts:
            await asyncio.sleep(3600)
        return self._texts.pop(0)

    async def send(self, message: bytes) -> None:
        raise NotImplementedError

    async def receive(self) -> bytes:
        raise NotImplementedError

    async def close(self, code: int = 1000) -> None:
        raise NotImplementedError


def test_both_survive_the_way() -> None:
    info = KubernetesInfo(version="v1.34.4", namespace="perijove-agent", uid="0c8e-1")
    hello = Hello(link="link_1", received=5, agent="agent-1", version="0.1.0", kubernetes=info)
    assert json.loads(hello.to_json()) == HELLO
    assert Hello.from_json(json.dumps(HELLO)) == hello
    welcome = Welcome.from_json(json.dumps({**WELCOME, "of_a_newer_version": 1}))
    assert json.loads(welcome.to_json()) == WELCOME
    assert Hello.from_json(json.dumps({**HELLO, "link": None, "received": 0, "kubernetes": None})).link is None
    older = Hello.from_json(json.dumps({**HELLO, "kubernetes": {"version": "v1.34.4", "namespace": "perijove-agent"}}))
    assert older.kubernetes is not None and older.kubernetes.uid is None


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": 2}, {"protocol": True}, {"protocol": None}, {"link": ""}, {"link": 1}, {"link": "a b"},
        {"link": "x" * 200}, {"received": -1}, {"received": 1.5}, {"received": True}, {"received": 2**63},
        {"received": None}, {"agent": None}, {"agent": "a\\nb"}, {"version": 1}, {"version": "x" * 300},
        {"version": "a\\nb"}, {"kubernetes": "v1"}, {"kubernetes": {}}, {"link": None},
        {"kubernetes": {"version": "v", "namespace": 1}},
        {"kubernetes": {"version": "v", "namespace": "n", "uid": 1}},
    ],
)  # fmt: skip
def test_a_hello_that_is_wrong_is_refused(changes: dict[str, Any]) -> None:
    text = json.dumps({**HELLO, **changes}).replace("\\\\n", "\\n")
    with pytest.raises(ProtocolError):
        Hello.from_json(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"link": None}, {"resumed": 1}, {"resumed": False}, {"replica": None}, {"replicas": None}, {"replicas": "a"},
        {"replicas": [1]}, {"replicas": ["r"] * 100}, {"protocol": 0}, {"received": "7"},
    ],
)  # fmt: skip
def test_a_welcome_that_is_wrong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        Welcome.from_json(json.dumps({**WELCOME, **changes}))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 10_000, '{"protocol": 1, "x": "' + "x" * 20_000 + '"}'])
def test_what_is_no_handshake_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        Hello.from_json(text)


async def test_a_link_is_resumed_only_if_it_is_the_one_that_was_named() -> None:
    hello = Hello(link="link_1", received=5, agent="agent-1", version="0")
    assert (await say_hello(Texts(json.dumps(WELCOME)), hello)).resumed
    with pytest.raises(ProtocolError, match="instead of"):
        await say_hello(Texts(json.dumps({**WELCOME, "link": "link_2"})), hello)
    anew = {**WELCOME, "link": "link_2", "resumed": False, "received": 0}
    assert (await say_hello(Texts(json.dumps(anew)), hello)).link == "link_2"


async def test_an_end_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        await receive_hello(Texts())
    with pytest.raises(TimeoutError):
        await say_hello(Texts(), Hello(link=None, received=0, agent="a", version="0"))
