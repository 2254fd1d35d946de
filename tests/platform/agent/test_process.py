"""`python -m perijove_platform.agent` as its pod runs it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from free_ports import free_port
from perijove_platform.tunnel import Stream
from perijove_platform.tunnel.descriptors import raise_descriptor_limit
from standin_kube_apiserver import KubeApiServer
from tunnel_ends import PlatformEnd, copy, until

MIB = 1024 * 1024
STREAMS = 2000


@contextlib.asynccontextmanager
async def agent_process(environment: dict[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "perijove_platform.agent", env={**os.environ, **environment}, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def settings(environment: dict[str, str], platform: PlatformEnd, kubernetes: KubeApiServer) -> dict[str, str]:
    return {
        **environment,
        "PERIJOVE_AGENT_PLATFORM_URL": f"https://localhost:{platform.port}",
        "PERIJOVE_AGENT_HEALTH_PORT": str(free_port()),
        "KUBERNETES_SERVICE_PORT": str(kubernetes.port),
    }


async def test_probes_follow_the_link_and_a_stop_is_graceful(
    settings: dict[str, str], platform: PlatformEnd, tmp_path: Path
) -> None:
    health = f"http://127.0.0.1:{settings['PERIJOVE_AGENT_HEALTH_PORT']}"
    platform.credentials = set()
    async with agent_process(settings, tmp_path / "log") as process, httpx.AsyncClient(timeout=60) as client:

        async def status(path: str) -> int:
            with contextlib.suppress(httpx.TransportError):
                return (await client.get(health + path)).status_code
            return 0

        async with asyncio.timeout(60):
            while await status("/healthz") != 200:
                await asyncio.sleep(0.05)
            assert await status("/readyz") == 503
            platform.credentials = None
            while await status("/readyz") != 200:
                await asyncio.sleep(0.05)
        assert await status("/metrics") == 404
        assert (await client.post(f"{health}/healthz")).status_code == 405
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0  # that of pods
        await until(lambda: platform.links.choose("cluster") is None)
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_the_platform_is_reached_by_way_of_a_proxy_and_kubernetes_is_not(
    settings: dict[str, str], platform: PlatformEnd, kubernetes: KubeApiServer, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0].decode())
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", platform.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    kubernetes.secrets.clear()
    platform.tokens.add("pjreg-1")
    Path(settings["PERIJOVE_AGENT_REGISTRATION_TOKEN_FILE"]).write_text("pjreg-1")
    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = {**settings, "PERIJOVE_AGENT_PLATFORM_URL": "https://localhost:9", "HTTPS_PROXY": address}
    async with agent_process(settings, tmp_path / "log"):
        await until(lambda: platform.links.choose("cluster"))
        assert asked[0].startswith("CONNECT localhost:9 ") and len(asked) == 2
        stream = await platform.link().open({"kind": "kubernetes", "method": "GET", "path": "/api"})
        assert stream.info["status"] == 200
        assert len(asked) == 2
    server.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"PERIJOVE_AGENT_PLATFORM_URL": ""}, "PLATFORM_URL is not set"),
        ({"PERIJOVE_AGENT_PLATFORM_URL": "perijove.example"}, "must be an http:// or https:// address"),
        ({"PERIJOVE_AGENT_LOG_LEVEL": "loud"}, "must be one of debug, info, warning, error"),
        ({"PERIJOVE_AGENT_CA_FILE": "/nowhere"}, "certificates in /nowhere cannot be read"),
        ({"PERIJOVE_AGENT_SERVICE_ACCOUNT_DIR": "/nowhere"}, "NAMESPACE is not set"),
    ],
)
async def test_settings_that_are_wrong_are_one_line(
    environment: dict[str, str], tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    environment = {**environment, "PERIJOVE_AGENT_PLATFORM_URL": "https://localhost", **changes}
    async with agent_process(environment, tmp_path / "log") as process:
        assert await asyncio.wait_for(process.wait(), 60) == 2
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 1 and says in lines[0]


@contextlib.asynccontextmanager
async def echoing_pod(kubernetes: KubeApiServer) -> AsyncIterator[dict[str, Any]]:
    """The target of a pod that says what it is told."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    labels = {"labels": {"perijove.dev/project": "p"}}
    kubernetes.namespaces["n"] = labels["labels"]
    kubernetes.pods["n", "p"] = {"metadata": labels, "spec": {}, "status": {"phase": "Running", "podIP": "127.0.0.1"}}
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    yield {"kind": "pod", "namespace": "n", "name": "p", "port": port, "project": "p"}
    server.close()


def echoing_shell() -> dict[str, Any]:
    """The target of a shell, for each of which the agent has a TLS connection; the stand-in says welcome first."""
    headers = [["Connection", "Upgrade"], ["Upgrade", "websocket"], ["Sec-WebSocket-Key", "x"]]
    return {"kind": "kubernetes", "method": "GET", "path": "/upgrade", "headers": headers}


@pytest.mark.parametrize(("kind", "megabytes"), [("pods", 100), ("shells", 110)])
async def test_2000_streams_at_once_stay_whole_and_small(
    settings: dict[str, str],
    platform: PlatformEnd,
    kubernetes: KubeApiServer,
    tmp_path: Path,
    kind: str,
    megabytes: int,
) -> None:
    raise_descriptor_limit()
    async with echoing_pod(kubernetes) as pod, agent_process(settings, tmp_path / "log") as process:
        target = pod if kind == "pods" else echoing_shell()
        await until(lambda: platform.links.choose("cluster"))
        turn = asyncio.Semaphore(100)

        async def open_one() -> Stream:
            async with turn:
                return await platform.link().open(target)

        streams = await asyncio.gather(*(open_one() for _ in range(STREAMS)))
        if kind == "shells":
            assert {await stream.read(8) for stream in streams} == {b"welcome "}
        await asyncio.gather(*(_exchange(stream, number) for number, stream in enumerate(streams)))
        assert platform.link().streams == STREAMS
        memory = psutil.Process(process.pid).memory_info
        # What handshakes took is given back within seconds.
        with contextlib.suppress(TimeoutError):
            await until(lambda: memory().rss < megabytes * 10**6)
        assert memory().rss < megabytes * 10**6, f"{memory().rss / 1e6:.0f} MB"
        for stream in streams:
            stream.finish() if kind == "pods" else stream.reset()
        if kind == "pods":
            await asyncio.gather(*(stream.read() for stream in streams))
        await until(lambda: platform.link().streams == 0)


async def _exchange(stream: Stream, number: int) -> None:
    """Several round trips, so that all streams are busy at the same time."""
    for turn in range(5):
        data = f"{number} {turn} ".encode() * 50
        await stream.write(data)
        received: Any = b""
        while len(received) < len(data):
            chunk = await stream.read()
            assert chunk
            received += chunk
        assert received == data
