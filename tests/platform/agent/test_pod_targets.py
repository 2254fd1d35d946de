"""Streams to pods: only to those of the project, only to their own address."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from perijove_platform.tunnel import Refused, StreamReset
from standin_kube_apiserver import KubeApiServer
from tunnel_ends import PlatformEnd, RunAgent, until


def pod(**changes: Any) -> dict[str, Any]:
    """A pod whose address is this machine's."""
    found: dict[str, Any] = {
        "metadata": {"labels": {"perijove.dev/project": "proj_1"}},
        "spec": {},
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }
    for name, value in changes.items():
        found[name] = {**found[name], **value}
    return found


@pytest.fixture(autouse=True)
def namespace(kubernetes: KubeApiServer) -> None:
    """The project's own."""
    kubernetes.namespaces["n"] = {"perijove.dev/project": "proj_1"}


@contextlib.asynccontextmanager
async def in_pod(handler: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def target(port: int, **changes: Any) -> dict[str, Any]:
    return {"kind": "pod", "namespace": "n", "name": "p", "port": port, "project": "proj_1", **changes}


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers when it has read all: so the end of one direction must not be the end of both."""
    writer.write((await reader.read()).upper())
    writer.close()


async def test_bytes_go_both_ways_and_each_way_ends_by_itself(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    kubernetes.pods["n", "p"] = pod()
    async with in_pod(upper) as port, run_agent() as agent:
        await until(lambda: agent.connected)
        stream = await platform.link().open(target(port))
        await stream.write(b"quiet " * 50_000)
        stream.finish()
        answer = b""
        while chunk := await stream.read():
            answer += chunk
        assert answer == b"QUIET " * 50_000
        await until(lambda: agent.streams == 0)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "no pod"),
        (pod(metadata={"labels": {"perijove.dev/project": "proj_2"}}), "no pod p of this project"),
        (pod(metadata={"labels": {}}), "no pod p of this project"),
        (pod(metadata={"labels": None}), "no pod p of this project"),
        (pod(spec={"hostNetwork": True}), "no pod p of this project"),
        (pod(status={"phase": "Pending"}), "Pending, not Running"),
        (pod(status={"phase": "Succeeded"}), "Succeeded, not Running"),
        (pod(status={"podIP": None}), "not Running"),
    ],
)
async def test_what_is_not_ours_is_not_dialled(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer, found: dict[str, Any] | None, says: str
) -> None:
    if found is not None:
        kubernetes.pods["n", "p"] = found
    dialled = False

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dialled
        dialled = True
        writer.close()

    async with in_pod(serve) as port, run_agent() as agent:
        await until(lambda: agent.connected)
        with pytest.raises(Refused, match=says) as caught:
            await platform.link().open(target(port))
        assert (caught.value.code, dialled) == ("not_ours", False)


@pytest.mark.parametrize("labels", [None, {}, {"perijove.dev/project": "proj_2"}])
async def test_a_label_alone_makes_no_pod_ours_in_a_namespace_that_is_not_the_projects(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer, labels: dict[str, str] | None
) -> None:
    del kubernetes.namespaces["n"]
    if labels is not None:
        kubernetes.namespaces["n"] = labels
    kubernetes.pods["n", "p"] = pod()
    async with in_pod(upper) as port, run_agent() as agent:
        await until(lambda: agent.connected)
        with pytest.raises(Refused, match=r"There is no pod p of this project\.") as caught:
            await platform.link().open(target(port))
        assert caught.value.code == "not_ours"


async def test_a_pod_that_has_become_anothers_is_not_dialled_again(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    kubernetes.pods["n", "p"] = pod()
    async with in_pod(upper) as port, run_agent() as agent:
        await until(lambda: agent.connected)
        (await platform.link().open(target(port))).reset()
        kubernetes.pods["n", "p"] = pod(metadata={"labels": {"perijove.dev/project": "proj_2"}})
        with pytest.raises(Refused) as caught:
            await platform.link().open(target(port))
        assert caught.value.code == "not_ours"


async def test_what_is_no_pod_is_a_bad_target(run_agent: RunAgent, platform: PlatformEnd) -> None:
    wrong: list[dict[str, Any]] = [
        {"port": 0}, {"port": "80"}, {"port": True}, {"port": 70000}, {"name": "../secrets/x"}, {"name": None},
        {"namespace": "a/b"}, {"project": ""}, {"project": "a b"}, {"kind": "host"}, {"kind": None},
    ]  # fmt: skip
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        for changes in wrong:
            with pytest.raises(Refused) as caught:
                await platform.link().open({**target(80), **changes})
            assert caught.value.code == "bad_target", changes


async def test_a_port_where_nobody_listens_is_said(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    kubernetes.pods["n", "p"] = pod()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with run_agent() as agent:
            await until(lambda: agent.connected)
            with pytest.raises(Refused, match="refused") as caught:
                await platform.link().open(target(taken.getsockname()[1]))
        assert caught.value.code == "dial_failed"


async def test_a_reset_closes_the_pods_connection_and_a_pod_that_dies_breaks_the_stream(
    run_agent: RunAgent, platform: PlatformEnd, kubernetes: KubeApiServer
) -> None:
    kubernetes.pods["n", "p"] = pod()
    writers: list[asyncio.StreamWriter] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError):
            await reader.read()
        ended.set()
        writer.close()

    async with in_pod(serve) as port, run_agent() as agent:
        await until(lambda: agent.connected)
        stream = await platform.link().open(target(port))
        await until(lambda: writers)
        stream.reset()
        async with asyncio.timeout(60):
            await ended.wait()
        stream = await platform.link().open(target(port))
        await until(lambda: len(writers) == 2)
        linger = struct.pack("ii", 1, 0)
        writers[1].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writers[1].transport.abort()
        with pytest.raises(StreamReset) as caught:
            await stream.read()
        assert caught.value.code == "target_lost"
        await until(lambda: agent.streams == 0)
