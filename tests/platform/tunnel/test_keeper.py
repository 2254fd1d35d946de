"""The dialling end over real WebSockets and TLS, cut by a relay that is killed."""

import asyncio
import contextlib
import hashlib
import itertools
import random
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.sessions import links
from perijove_platform.tunnel import CloseCode, Stream, StreamReset
from perijove_platform.tunnel.frames import MAX_MESSAGE_BYTES
from perijove_platform.tunnel.handshake import Hello, TextChannel
from perijove_platform.tunnel.keeper import LinkKeeper, Pace
from perijove_platform.tunnel.websocket import DialFailed, dial
from tunnel_ends import Certificates, PlatformEnd, TcpRelay, until, without_proxies

MIB = 1024 * 1024
PACE = Pace(first=0.02, failing=0.2, refused=0.2, missing=0.1, settled=5.0)


_proxies = pytest.fixture(autouse=True)(without_proxies)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def echo(stream: Stream, target: Mapping[str, Any]) -> None:
    stream.accept({"to": target.get("to")})
    while data := await stream.read():
        await stream.write(data)
    stream.finish()


def hello(link: str | None, received: int) -> Hello:
    return Hello(link=link, received=received, agent="agent-1", version="0")


@contextlib.asynccontextmanager
async def keeping(port: int, certificates: Certificates | None = None, **options: Any) -> AsyncIterator[LinkKeeper]:
    scheme, tls = ("wss", certificates.client()) if certificates else ("ws", None)

    async def connect() -> TextChannel:
        return await dial(f"{scheme}://localhost:{port}/v1/agent/link", headers={"Authorization": "Bearer x"}, tls=tls)

    keeper = LinkKeeper(connect, hello, **{"accept": echo, "pace": PACE, **options})
    running = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def exchange(stream: Stream, data: bytes) -> bytes:
    async def send() -> None:
        await stream.write(data)
        stream.finish()

    sending = asyncio.create_task(send())
    received = bytearray()
    while chunk := await stream.read():
        received += chunk
    await sending
    return bytes(received)


async def test_streams_run_over_a_websocket_with_tls_and_small_messages_leave_at_once(
    certificates: Certificates,
) -> None:
    async with PlatformEnd(certificates=certificates).serve() as platform:
        async with keeping(platform.port, certificates) as keeper:
            await until(lambda: keeper.connected)
            data = random.Random(1).randbytes(3 * MIB)
            assert await exchange(await platform.link().open({"to": "echo"}), data) == data
            for connection in platform.server.server_state.connections:
                sock = connection.transport.get_extra_info("socket")
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert platform.server.server_state.connections
        await until(lambda: platform.links.choose("cluster") is None)


async def test_the_dialling_end_sends_small_messages_at_once_and_takes_no_message_that_is_too_large(
    certificates: Certificates,
) -> None:
    async with PlatformEnd(certificates=certificates).serve() as platform:
        url = f"wss://localhost:{platform.port}/v1/agent/link"
        channel = await dial(url, headers={}, tls=certificates.client())
        assert channel.nodelay
        await channel.send_text(hello(None, 0).to_json())
        await channel.receive_text()
        with pytest.raises(ConnectionError) as caught:
            for _ in range(20):  # the first goes into the network's buffers
                await channel.send(bytes(MAX_MESSAGE_BYTES + 1))
                await asyncio.sleep(0.05)
        assert getattr(caught.value, "code", None) in (1009, None)
        await channel.close()


async def test_what_cannot_be_dialled_says_why(certificates: Certificates, tmp_path: Path) -> None:
    async with PlatformEnd(certificates=certificates, credentials=set()).serve() as platform:
        url = f"wss://localhost:{platform.port}/v1/agent/link"
        with pytest.raises(DialFailed, match="credential was revoked") as caught:
            await dial(url, headers={}, tls=certificates.client())
        assert caught.value.status == 401
        with pytest.raises(DialFailed, match="not trusted"):
            await dial(url, headers={}, tls=Certificates(tmp_path).client())
        with pytest.raises(DialFailed, match="HTTP status 404|HTTP status 403"):
            await dial(f"wss://localhost:{platform.port}/elsewhere", headers={}, tls=certificates.client())
    with pytest.raises(DialFailed, match="cannot be reached"):
        await dial(url, headers={}, tls=certificates.client())


async def test_50_megabytes_arrive_whole_when_the_connection_is_cut_100_times() -> None:
    rng = random.Random(7)
    parts = [rng.randbytes(MIB) for _ in range(5)] * 10
    sent, received, cuts = hashlib.sha256(), hashlib.sha256(), 0
    total = 0

    async def produce(stream: Stream, _: Mapping[str, Any]) -> None:
        stream.accept()
        for number, part in enumerate(parts):
            # Two cuts for each part, wherever it is then: so all of them fall within the output.
            await until(lambda needed=2 * number: cuts >= needed, 60)
            sent.update(part)
            await stream.write(part)
        await until(lambda: cuts >= 100, 60)
        stream.finish()

    async with PlatformEnd().serve() as platform, TcpRelay(("127.0.0.1", platform.port)) as relay:
        async with keeping(relay.port, accept=produce, pace=Pace(first=0.001, failing=0.02)) as keeper:
            await until(lambda: keeper.connected)

            async def cut() -> None:
                nonlocal cuts
                while cuts < 100:
                    before = total
                    # A dial that is cut, too, would be a cut of no link; on a slow machine all could be that.
                    await until(lambda cuts=cuts: keeper.connected and len(platform.hellos) > cuts)
                    with contextlib.suppress(TimeoutError):
                        await until(lambda before=before: total > before, 0.05)
                    await asyncio.sleep(rng.random() * 0.01)
                    relay.cut()
                    cuts += 1

            stream = await platform.link().open({})
            cutting = asyncio.create_task(cut())
            while chunk := await stream.read():
                received.update(chunk)
                total += len(chunk)
            await cutting
        assert (total, received.digest()) == (50 * MIB, sent.digest())
        assert len([found for found in platform.hellos if found.link]) >= 50


async def test_streams_fail_when_the_grace_period_is_over_and_new_ones_work_after_it() -> None:
    async with PlatformEnd(grace_seconds=0.3).serve() as platform:
        async with TcpRelay(("127.0.0.1", platform.port)) as relay, keeping(relay.port, grace_seconds=0.3) as keeper:
            await until(lambda: keeper.connected)
            stream = await platform.link().open({})
            relay.accepting = False
            relay.cut()
            with pytest.raises(StreamReset) as caught:
                await stream.read()
            assert caught.value.code == "link_lost"
            await until(lambda: keeper.streams == 0)
            relay.accepting = True
            await until(lambda: keeper.connected and platform.links.choose("cluster"))
            assert await exchange(await platform.link().open({}), b"again") == b"again"


async def test_a_platform_that_has_forgotten_the_link_begins_anew() -> None:
    async with PlatformEnd().serve() as platform, keeping(platform.port) as keeper:
        await until(lambda: keeper.connected)
        old = await platform.link().open({})
        platform.forget()
        await until(lambda: len(platform.hellos) > 1 and platform.links.choose("cluster"))
        assert await exchange(await platform.link().open({}), b"new") == b"new"
        with pytest.raises(StreamReset):
            await old.read()
        await until(lambda: keeper.streams == 0)


async def test_a_stop_is_told_so_that_no_stream_waits_for_the_grace_period() -> None:
    async with PlatformEnd().serve() as platform:
        async with keeping(platform.port) as keeper:
            await until(lambda: keeper.connected)
            stream = await platform.link().open({})
        async with asyncio.timeout(platform.grace_seconds - 5):
            with pytest.raises(StreamReset):
                await stream.read()


async def test_every_replica_gets_a_link_and_each_is_resumed_at_its_own() -> None:
    names = ("replica-a", "replica-b", "replica-c")
    async with contextlib.AsyncExitStack() as stack:
        platforms = [
            await stack.enter_async_context(PlatformEnd(replica=name, replicas=names).serve()) for name in names
        ]
        balancer = await stack.enter_async_context(TcpRelay(*(("127.0.0.1", each.port) for each in platforms)))
        await stack.enter_async_context(keeping(balancer.port))
        await until(lambda: all(each.links.choose("cluster") for each in platforms))
        streams = [await each.link().open({}) for each in platforms]
        balancer.accepting = False
        balancer.cut()
        await until(lambda: not any(each.links.choose("cluster") for each in platforms))
        balancer.accepting = True
        assert [await exchange(stream, b"goes on") for stream in streams] == [b"goes on"] * 3


async def test_a_replica_that_is_told_of_later_gets_its_link_at_once() -> None:
    async with PlatformEnd(replica="replica-a").serve() as first, PlatformEnd(replica="replica-b").serve() as later:
        balancer = TcpRelay(*(("127.0.0.1", each.port) for each in (first, first, first)))
        async with balancer, keeping(balancer.port, pace=Pace(first=0.02, missing=0.1, settled=3600.0)) as keeper:
            await until(lambda: keeper.connected and first.links.choose("cluster"))
            balancer.targets = [("127.0.0.1", each.port) for each in (first, later)]
            keeper.learn(("replica-a",))
            assert len(first.hellos) == 1
            keeper.learn(("replica-a", "replica-b"))
            await until(lambda: later.links.choose("cluster"))


async def test_a_refused_handshake_is_tried_again_more_and_more_slowly() -> None:
    attempts: list[float] = []

    async def connect() -> TextChannel:
        attempts.append(asyncio.get_running_loop().time())
        raise DialFailed("nobody there")

    keeper = LinkKeeper(connect, hello, pace=Pace(first=0.01, failing=30))
    running = asyncio.create_task(keeper.run())
    await until(lambda: len(attempts) >= 7, 60)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert all(pause > 0.0049 * 2**number for number, pause in enumerate(pauses)), pauses
    assert CloseCode.DUPLICATE == 4409


async def test_an_agent_too_many_dials_as_slowly_as_one_that_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(links, "MAX_LINKS", 0)
    async with PlatformEnd().serve() as platform:

        async def connect() -> TextChannel:
            return await dial(f"ws://localhost:{platform.port}/v1/agent/link", headers={"Authorization": "Bearer x"})

        keeper = LinkKeeper(connect, hello, pace=Pace(first=100.0, failing=1.0, refused=30.0))
        assert await keeper._attempt() == 30.0
    assert "Run fewer" in caplog.text
