"""Exchanges with a kube-apiserver (a stand-in; the real one is in `tests/cluster`), over TLS and the tunnel."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.tunnel import Refused, Stream, StreamReset
from standin_kube_apiserver import KubeApiServer
from tunnel_ends import Certificates, PlatformEnd, RunAgent, until

MIB = 1024 * 1024
ALICE = {"user": "perijove:alice", "groups": ["perijove:project:p"], "extra": {"perijove.dev/email": ["a@b.example"]}}


def target(method: str = "GET", path: str = "/api", **more: Any) -> dict[str, Any]:
    return {"kind": "kubernetes", "method": method, "path": path, "headers": [], **more}


async def ask(platform: PlatformEnd, body: bytes = b"", **more: Any) -> tuple[Stream, bytes]:
    stream = platform.link().begin(target(**more))
    await stream.write(body)
    stream.finish()
    await stream.wait_opened()
    answer = bytearray()
    while chunk := await stream.read():
        answer += chunk
    return stream, bytes(answer)


async def test_the_agents_token_is_added_and_the_person_is_named(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    given = [
        ["Authorization", "Bearer pjsess-stolen"], ["Impersonate-User", "system:admin"], ["impersonate-group", "x"],
        ["Accept", "application/json"], ["X-Two", "1"], ["X-Two", "2"], ["Host", "evil"],
        ["Connection", "close, X-Hop"], ["X-Hop", "1"], ["Proxy-Authorization", "Basic eA=="],
    ]  # fmt: skip
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        stream, answer = await ask(platform, path="/apis/batch/v1?limit=5", headers=given, **{"as": ALICE})
        assert stream.info["status"] == 200
        assert json.loads(answer)["kind"] == "Anything"
        assert ["content-type", "application/json"] in stream.info["headers"]
        seen = kubernetes.seen[-1]
        assert (seen.method, seen.target) == ("GET", "/apis/batch/v1?limit=5")
        assert sorted(seen.headers) == [
            ("accept", "application/json"),
            ("authorization", "Bearer service-account"),
            ("host", f"127.0.0.1:{kubernetes.port}"),
            ("impersonate-extra-perijove.dev%2femail", "a@b.example"),
            ("impersonate-group", "perijove:project:p"),
            ("impersonate-user", "perijove:alice"),
            ("x-two", "1"),
            ("x-two", "2"),
        ]
        await ask(platform)
        assert not [name for name, _ in kubernetes.seen[-1].headers if name.startswith("impersonate")]


async def test_a_token_that_kubernetes_has_replaced_is_read_again(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer, environment: dict[str, str]
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        kubernetes.tokens = {"rotated"}
        assert (await ask(platform))[0].info["status"] == 401
        Path(environment["PERIJOVE_AGENT_SERVICE_ACCOUNT_DIR"], "token").write_text("rotated")
        assert (await ask(platform))[0].info["status"] == 200


async def test_connections_are_used_again_and_a_closed_one_is_replaced(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        before = kubernetes.connections
        for method in ("GET", "POST", "DELETE", "HEAD", "PUT") * 4:
            stream, _ = await ask(platform, method=method, body=b"{}" if method in ("POST", "PUT") else b"")
            assert stream.info["status"] == 200
        assert kubernetes.connections <= before + 1
        kubernetes.close_connections()
        assert (await ask(platform))[0].info["status"] == 200


@pytest.mark.parametrize("length", [True, False])
async def test_bodies_stream_both_ways_at_the_same_time(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer, length: bool
) -> None:
    data = random.Random(3).randbytes(10 * MIB)
    headers = [["content-length", str(len(data))]] if length else [["transfer-encoding", "chunked"]]
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        stream = platform.link().begin(target("POST", "/echo", headers=headers))

        async def send() -> None:
            await stream.write(data)
            stream.finish()

        sending = asyncio.create_task(send())
        received = bytearray()
        await stream.wait_opened()
        while chunk := await stream.read():
            received += chunk
        await sending
        assert received == data
        await until(lambda: agent.streams == 0)


async def test_a_line_of_200_megabytes_passes_a_reader_that_is_slow_at_first(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        stream = await platform.link().open(target(path=f"/big?bytes={200 * MIB}&line=1"))
        stream.finish()
        await asyncio.sleep(0.2)
        # Meanwhile another stream of the same link is not held up.
        assert (await ask(platform))[0].info["status"] == 200
        size = 0
        while chunk := await stream.read():
            assert not chunk.strip(b"x")
            size += len(chunk)
        assert size == 200 * MIB


@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
async def test_a_connection_that_is_upgraded_carries_what_follows(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer, protocol: str
) -> None:
    headers = [["Connection", "Upgrade"], ["Upgrade", protocol], ["Sec-WebSocket-Key", "x"], ["Content-Length", "0"]]
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        stream = await platform.link().open(target("POST", "/upgrade", headers=headers, **{"as": ALICE}))
        assert stream.info["status"] == 101
        assert ["x-protocol", "v5.channel.k8s.io"] in stream.info["headers"]
        seen = kubernetes.seen[-1]
        assert (seen.values("upgrade"), seen.values("connection")) == ([protocol], ["Upgrade"])
        assert await _read_exactly(stream, 8) == b"welcome "
        data = random.Random(5).randbytes(2 * MIB)
        sending = asyncio.create_task(stream.write(data))
        assert await _read_exactly(stream, len(data)) == data
        await sending
        await stream.write(b"bye")
        assert await _read_exactly(stream, 3) == b"bye"
        assert await stream.read() == b""
        await until(lambda: agent.streams == 0)


async def _read_exactly(stream: Stream, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        chunk = await stream.read(size - len(found))
        assert chunk
        found += chunk
    return bytes(found)


async def test_an_upgrade_that_is_refused_is_an_answer(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        headers = [["upgrade", "websocket"], ["connection", "upgrade"]]
        stream = await platform.link().open(target("GET", "/api/v1/namespaces/n/pods/p", headers=headers))
        assert stream.info["status"] == 404
        assert json.loads(await stream.read())["message"] == 'pods "p" not found'


async def test_an_answer_that_comes_before_the_body_is_read_is_passed_on(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        stream = platform.link().begin(target("POST", "/early", headers=[["content-length", str(500 * MIB)]]))
        sending = asyncio.create_task(stream.write(bytes(100 * MIB)))
        await stream.wait_opened()
        assert stream.info["status"] == 413
        with pytest.raises(StreamReset):
            await sending
        await until(lambda: agent.streams == 0)


async def test_an_answer_that_breaks_off_is_no_whole_answer(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        stream = await platform.link().open(target(path="/broken", headers=[["content-length", "0"]]))
        with pytest.raises(StreamReset) as caught:
            while await stream.read():
                pass
        assert caught.value.code == "target_lost"


async def test_a_stream_that_is_reset_ends_its_request(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        before = kubernetes.open_connections
        streams = [await platform.link().open(target(path="/wait", headers=[["content-length", "0"]])) for _ in "ab"]
        await until(lambda: kubernetes.open_connections >= before + 1)
        for stream in streams:
            stream.reset()
        await until(lambda: agent.streams == 0 and kubernetes.open_connections <= before)


async def test_a_body_that_is_not_as_long_as_it_says_is_a_bad_target(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        for body in (b"too much", b"x"):
            stream = platform.link().begin(target("POST", "/api", headers=[["content-length", "3"]]))
            await stream.write(body)
            stream.finish()
            with pytest.raises(Refused) as caught:
                await stream.wait_opened()
            assert caught.value.code == "bad_target"


async def test_a_kube_apiserver_that_is_away_or_another_is_not_talked_to(
    run_agent: RunAgent,
    platform: PlatformEnd,
    kubernetes: KubeApiServer,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        (tmp_path / "other").mkdir()
        kubernetes.close_connections()
        ca = Path(environment["PERIJOVE_AGENT_SERVICE_ACCOUNT_DIR"], "ca.crt")
        ca.write_bytes(Certificates(tmp_path / "other").ca.read_bytes())
        with pytest.raises(Refused, match="certificate") as caught:
            await ask(platform)
        assert caught.value.code == "dial_failed"
