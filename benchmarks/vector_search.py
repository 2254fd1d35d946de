"""Search over 20,000 x 256 vectors: `python benchmarks/vector_search.py [--passages 20000] [--queries 100]`.

Ours is asked over a real socket, in a process of its own, with authentication, query embedding, filter, passages from
SQL and ranking. The peer is Milvus Lite alone, through pymilvus in this process, holding the same vectors and given
ready query vectors. Queries go to one and the other in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from perijove_platform.embeddings import EmbeddingService
from perijove_platform.rbac import SCOPES, Caller
from perijove_platform.vector_stores.service import SourceFile
from rich.console import Console
from rich.progress import track
from rich.table import Table

FILES = 40
KEY = "benchmark"
PROJECT = "proj-benchmark"
SETTLE_SECONDS = 900
WORDS = [
    consonant + vowel + ending
    for consonant in ("b", "br", "d", "f", "gl", "k", "l", "m", "n", "p", "r", "st", "t", "v")
    for vowel in ("a", "e", "i", "o", "u", "ai", "ou")
    for ending in ("ton", "mer", "ning", "st", "ra", "lo", "ck", "sh", "ve", "dium")
]


class Folder:
    """The files manager's part, over a folder of documents."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def find(self, project_id: str, file_id: str) -> SourceFile | None:
        return SourceFile(file_id, f"{file_id}.txt", (self._root / file_id).stat().st_size)

    async def read(self, project_id: str, file_id: str) -> AsyncIterator[bytes]:
        yield await asyncio.to_thread((self._root / file_id).read_bytes)


class OneKey:
    """The users manager's part."""

    async def authenticate(self, token: str) -> Caller | None:
        owner = {"user_id": "u", "user_name": "u", "organization_id": "o", "project_id": PROJECT, "key_id": "k"}
        return Caller(**owner, scopes=SCOPES) if token == KEY else None


def serve(folder: Path, listening: socket.socket) -> None:
    """The child: the vector stores manager and nothing else, under uvicorn."""
    import uvicorn
    from fastapi import FastAPI
    from perijove_platform import errors
    from perijove_platform.database import Base, Database
    from perijove_platform.events import EventBus
    from perijove_platform.vector_stores.routes import router
    from perijove_platform.vector_stores.service import VectorStoresService

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(f"sqlite+aiosqlite:///{folder / 'platform.db'}")
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        events = EventBus(database, keep=1000)
        service = VectorStoresService(
            database, events, Folder(folder / "documents"), EmbeddingService(), folder=folder / "vectors"
        )
        app.state.vector_stores, app.state.authenticator = service, OneKey()
        await service.start()
        yield
        await service.stop()
        await database.close()

    app = FastAPI(lifespan=lifespan)
    errors.install(app)
    app.include_router(router)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


@contextlib.contextmanager
def platform(folder: Path) -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        child = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, listening))
        child.start()
    try:
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", headers=headers, timeout=60) as client:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(httpx.TransportError):
                    client.get("/vector_stores").raise_for_status()
                    break
                if time.monotonic() > deadline or not child.is_alive():
                    raise SystemExit("the platform did not start")
                time.sleep(0.1)
            yield client
    finally:
        child.terminate()
        child.join(20)


def write_documents(folder: Path, passages: int, rng: random.Random) -> None:
    folder.mkdir()
    for number in range(FILES):
        # Made-up words of about two tokens each; each paragraph fills most of a chunk of 100 tokens.
        paragraphs = (" ".join(rng.choices(WORDS, k=44)) for _ in range(passages // FILES))
        (folder / f"file-{number:03}").write_text("\n\n".join(paragraphs))


def index(client: httpx.Client, passages: int) -> tuple[str, list[str]]:
    """A store with every document, and the texts of its passages."""
    store_id = client.post("/vector_stores", json={"name": "benchmark"}).json()["id"]
    static = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}
    files = [
        {
            "file_id": f"file-{number:03}",
            "attributes": {"quarter": number % 4},
            "chunking_strategy": {"type": "static", "static": static},
        }
        for number in range(FILES)
    ]
    began = time.perf_counter()
    client.post(f"/vector_stores/{store_id}/file_batches", json={"files": files}).raise_for_status()
    deadline = time.monotonic() + SETTLE_SECONDS
    while (store := client.get(f"/vector_stores/{store_id}").json())["status"] == "in_progress":
        if time.monotonic() > deadline:
            raise SystemExit("indexing takes too long")
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    texts: list[str] = []
    for file in files:
        content = client.get(f"/vector_stores/{store_id}/files/{file['file_id']}/content").json()
        texts += [part["text"] for part in content["data"]]
    print(f"indexed {len(texts)} passages in {seconds:.1f} s; files: {store['file_counts']}")
    return store_id, texts


def milvus_alone(folder: Path, vectors: np.ndarray, index_type: str) -> Any:
    """A Milvus Lite collection with the same vectors, flushed and loaded."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(str(folder / f"{index_type.lower()}.db"))
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("chunk", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    params = MilvusClient.prepare_index_params()
    params.add_index("vector", index_type=index_type, metric_type="IP")
    client.create_collection("peer", schema=schema, index_params=params)
    for start in range(0, len(vectors), 1000):
        rows = [
            {"chunk": start + place, "vector": vector} for place, vector in enumerate(vectors[start : start + 1000])
        ]
        client.insert("peer", rows)
    client.flush("peer")
    client.load_collection("peer")
    return client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_documents(folder / "documents", options.passages, rng)
        with platform(folder) as client:
            store_id, texts = index(client, options.passages)
            embed = EmbeddingService()
            vectors = asyncio.run(embed.embed(texts, project_id=PROJECT)).vectors
            peers = {kind: milvus_alone(folder, vectors, kind) for kind in ("FLAT", "HNSW")}
            queries = [" ".join(rng.choices(WORDS, k=8)) for _ in range(options.queries)]
            print_table(measure(client, store_id, peers, texts, vectors, queries), len(texts))


def measure(
    client: httpx.Client,
    store_id: str,
    peers: dict[str, Any],
    texts: list[str],
    vectors: np.ndarray,
    queries: list[str],
) -> dict[str, tuple[list[float], list[float]]]:
    """Milliseconds and recall at 10 of each side, query by query, in turn."""
    plain = {"ranking_options": {"ranker": "none"}}
    quarter = {**plain, "filters": {"type": "eq", "key": "quarter", "value": 1}}
    sides: dict[str, dict[str, Any]] = {"ours": plain, "ours, reranked": {}, "ours, filter keeps 1/4": quarter}
    results: dict[str, tuple[list[float], list[float]]] = {}
    embedded = asyncio.run(EmbeddingService().embed(queries, project_id=PROJECT)).vectors
    for place, query in enumerate(track(queries, description="searching")):
        nearest = {texts[chunk] for chunk in np.argsort(-(vectors @ embedded[place]))[:10]}
        for side, fields in sides.items():
            began = time.perf_counter()
            answer = client.post(f"/vector_stores/{store_id}/search", json={"query": query, **fields})
            spent = (time.perf_counter() - began) * 1000
            answer.raise_for_status()
            got = {hit["content"][0]["text"] for hit in answer.json()["data"]}
            note(results, side, spent, len(nearest & got) / 10 if side == "ours" else float("nan"), place)
        for kind, peer in peers.items():
            began = time.perf_counter()
            hits = peer.search("peer", data=[embedded[place]], limit=10)[0]
            spent = (time.perf_counter() - began) * 1000
            got = {texts[hit["chunk"]] for hit in hits}
            note(results, f"Milvus Lite alone, {kind}", spent, len(nearest & got) / 10, place)
    return results


def note(
    results: dict[str, tuple[list[float], list[float]]], side: str, spent: float, recall: float, place: int
) -> None:
    if place < 3:
        return  # the first searches load and warm up
    times, recalls = results.setdefault(side, ([], []))
    times.append(spent)
    recalls.append(recall)


def print_table(results: dict[str, tuple[list[float], list[float]]], passages: int) -> None:
    table = Table("side", "p50 ms", "p95 ms", "recall@10", title=f"search over {passages} x 256 vectors")
    for side, (times, recalls) in results.items():
        recall = statistics.fmean(recalls)
        table.add_row(
            side,
            f"{statistics.median(times):.1f}",
            f"{statistics.quantiles(times, n=20)[-1]:.1f}",
            "" if np.isnan(recall) else f"{recall:.3f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
