"""The vectors: Milvus, either its Lite form in the data directory or a server at an address.

One collection per vector store. A search in Milvus Lite walks every row of the collection in Python, so its time
follows the size of the store that is asked, not that of all stores, and deleting a store is dropping its collection.
A row is a chunk's number, its file's number and its unit vector; everything else is in SQL.

Milvus Lite serves gRPC without authentication, so it listens on a socket in a folder that only this user can enter.
Its exact (FLAT) index is used: at 20,000 x 256 it takes 15-20 ms with every neighbour found, where its HNSW takes as
long and, under a filter, finds a quarter of them.
"""

import asyncio
import logging
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from perijove_platform.errors import Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_READERS = 2
_PREFIX = "vs_"
_MAX_WAITING = 256
_MAX_LOADED = 64
_INSERT_ROWS = 1000
_FLUSH_ROWS = 2048
_LOAD_ATTEMPTS = 5
_LOAD_PAUSE = 0.2
_CALL_SECONDS = 60.0
# pymilvus pings an idle link every 10 s; Milvus Lite takes that for abuse (gRPC allows one in 5 minutes) and hangs up.
_GRPC_OPTIONS = {"grpc.keepalive_time_ms": 600_000, "grpc.keepalive_permit_without_calls": 0}
T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    """A chunk that was found; `similarity` is the cosine, -1 to 1."""

    chunk: int
    similarity: float


class VectorIndex:
    """Opened by the first call that needs it.

    Args:
        folder: where Milvus Lite keeps its data.
        url: address of a Milvus server, which then is used instead.
    """

    def __init__(self, folder: Path, *, url: str | None = None, token: str | None = None) -> None:
        self._folder = folder
        self._url = url
        self._token = token
        self._opening = threading.Lock()
        self._client: Any = None
        self._server: Any = None
        self._lite: Any = None
        self._socket_folder: str | None = None
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._unflushed: dict[str, int] = {}
        # Milvus Lite allows one writer and several readers; waiting requests are bounded by `_waiting`.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="vectors-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="vectors-read")
        self._waiting = 0

    async def insert(self, store_id: str, file: int, chunks: Sequence[int], vectors: "NDArray[np.float32]") -> None:
        """Add the vectors, shape (chunks, dimension), of one file's chunks."""
        for start in range(0, len(chunks), _INSERT_ROWS):
            part = slice(start, start + _INSERT_ROWS)
            await self._run(self._writer, self._insert, store_id, file, chunks[part], vectors[part])

    async def delete_file(self, store_id: str, file: int) -> None:
        """Remove the vectors of one file."""
        await self._run(self._writer, self._delete_file, store_id, file)

    async def settle(self, store_id: str, *, more_to_come: bool = False) -> None:
        """Make what was inserted quick to search; with `more_to_come`, only when much has gathered."""
        if self._url is None and self._unflushed.get(store_id, 0) > (_FLUSH_ROWS if more_to_come else 0):
            await self._run(self._writer, self._flush, store_id)

    async def drop(self, store_id: str) -> None:
        """Remove a store's vectors altogether."""
        await self._run(self._writer, self._drop, store_id)

    async def search(
        self, store_id: str, vectors: "NDArray[np.float32]", *, limit: int, expression: str = ""
    ) -> list[list[Hit]]:
        """The nearest chunks of each query vector, best first.

        Args:
            vectors: shape (queries, dimension), unit length.
            expression: a Milvus boolean expression over ``file``, from `filters.file_expression`.
        """
        return await self._run(self._readers, self._search, store_id, vectors, limit, expression)

    async def stores(self) -> set[str]:
        """The stores that have vectors."""
        return await self._run(self._readers, self._stores)

    @property
    def opened(self) -> bool:
        return self._client is not None

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    @property
    def _path(self) -> Path:
        return self._folder / "milvus"

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[..., T], *args: Any) -> T:
        if self._waiting >= _MAX_WAITING:
            raise Unavailable("The vector index is overloaded. Try again in a moment.", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._guarded, call, args)
        finally:
            self._waiting -= 1

    def _guarded(self, call: Callable[..., T], args: tuple[Any, ...]) -> T:
        from pymilvus.exceptions import MilvusException

        try:
            self._open()
            return call(*args)
        except MilvusException as error:
            _log.error("vector index: %s", error.message)
            raise Unavailable(f"The vector index failed: {error.message}. Try again; its log says more.") from error

    def _open(self) -> None:
        with self._opening:
            if self._client is not None:
                return
            from pymilvus import MilvusClient

            # pymilvus logs each failed call with its trace; failures are reported by `_guarded`.
            logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
            address = self._url or self._serve_lite()
            self._client = MilvusClient(
                uri=address, token=self._token or "", timeout=_CALL_SECONDS, grpc_options=_GRPC_OPTIONS
            )

    def _serve_lite(self) -> str:
        from milvus_lite.adapter.grpc.server import start_server_in_thread
        from milvus_lite.exceptions import DataDirLockedError

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Not in the data directory: the path of a Unix socket has at most 107 characters.
        self._socket_folder = tempfile.mkdtemp(prefix="perijove-")
        socket = f"{self._socket_folder}/vectors"
        try:
            # gRPC's own name for a Unix socket is "unix:PATH", which the server makes of host and port.
            self._server, self._lite, _ = start_server_in_thread(str(self._path), "unix", cast(int, socket))
        except DataDirLockedError as error:
            raise Unavailable(
                f"The vectors in {self._folder} are in use by another platform. Stop it, or use another data directory."
            ) from error
        return f"unix:{socket}"

    def _insert(self, store_id: str, file: int, chunks: Sequence[int], vectors: "NDArray[np.float32]") -> None:
        if not self._client.has_collection(store_id):
            self._create(store_id, vectors.shape[1])
        rows = [{"chunk": chunk, "file": file, "vector": vector} for chunk, vector in zip(chunks, vectors, strict=True)]
        self._client.insert(store_id, rows)
        self._unflushed[store_id] = self._unflushed.get(store_id, 0) + len(rows)

    def _create(self, store_id: str, dimension: int) -> None:
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("chunk", DataType.INT64, is_primary=True)
        schema.add_field("file", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        self._client.create_collection(
            store_id, schema=schema, index_params=self._index_params(), consistency_level="Session"
        )

    def _index_params(self) -> Any:
        from pymilvus import MilvusClient

        params = MilvusClient.prepare_index_params()
        params.add_index("vector", index_type="FLAT" if self._url is None else "AUTOINDEX", metric_type="IP")
        return params

    def _delete_file(self, store_id: str, file: int) -> None:
        if self._load(store_id):
            self._client.delete(store_id, filter=f"file == {file:d}")

    def _flush(self, store_id: str) -> None:
        if self._client.has_collection(store_id):
            self._client.flush(store_id)
        self._unflushed.pop(store_id, None)

    def _drop(self, store_id: str) -> None:
        self._loaded.pop(store_id, None)
        self._unflushed.pop(store_id, None)
        if self._client.has_collection(store_id):
            self._client.drop_collection(store_id)

    def _stores(self) -> set[str]:
        return {name for name in self._client.list_collections() if name.startswith(_PREFIX)}

    def _search(self, store_id: str, vectors: "NDArray[np.float32]", limit: int, expression: str) -> list[list[Hit]]:
        if not self._load(store_id):
            return [[] for _ in vectors]
        found = self._client.search(
            store_id, data=list(vectors), limit=limit, filter=expression, output_fields=[], anns_field="vector"
        )
        return [[Hit(int(hit["chunk"]), float(hit["distance"])) for hit in hits] for hits in found]

    def _load(self, store_id: str) -> bool:
        """Bring a collection into memory; false when there is none."""
        with self._opening:
            if store_id in self._loaded:
                self._loaded.move_to_end(store_id)
                return True
            if not self._client.has_collection(store_id):
                return False
            self._load_or_reindex(store_id)
            self._loaded[store_id] = None
            while len(self._loaded) > _MAX_LOADED:
                self._client.release_collection(self._loaded.popitem(last=False)[0])
            return True

    def _load_or_reindex(self, store_id: str) -> None:
        """Load; when the index file next to the vectors stays unreadable (kill -9 while it was written), make it anew.

        Milvus Lite writes that file in the background and not atomically, so it may just not be complete yet.
        """
        from pymilvus.exceptions import MilvusException

        for attempt in range(_LOAD_ATTEMPTS):
            try:
                self._client.load_collection(store_id)
                return
            except MilvusException as error:
                _log.warning("loading the vectors of %s, attempt %d: %s", store_id, attempt + 1, error.message)
                time.sleep(_LOAD_PAUSE)
        self._client.drop_index(store_id, "vector")
        self._client.create_index(store_id, self._index_params())
        self._client.load_collection(store_id)

    def _close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._server is not None:
            self._server.stop(grace=1).wait()
            self._lite.close()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
