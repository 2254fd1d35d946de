"""Search: embed the query, ask the index, fetch the passages, rank."""

from collections.abc import Sequence
from dataclasses import dataclass

from perijove_platform.database import Database, now
from perijove_platform.embeddings import EmbeddingService
from perijove_platform.errors import BadRequest
from perijove_platform.rbac import Caller
from perijove_platform.vector_stores import ranking
from perijove_platform.vector_stores.filters import file_expression
from perijove_platform.vector_stores.index import VectorIndex
from perijove_platform.vector_stores.membership import usable
from perijove_platform.vector_stores.public import chunk_to_public
from perijove_platform.vector_stores.schemas import RankingOptions, SearchRequest, SearchResult
from perijove_platform.vector_stores.store import VectorStoreStore
from perijove_platform.vector_stores.tables import ChunkRow, StoreFileRow

MAX_STORES = 8
_ACTIVE_SECONDS = 60
_SPARE_CANDIDATES = 10


@dataclass(frozen=True)
class _Candidate:
    chunk: ChunkRow
    file: StoreFileRow
    similarity: float


class Searcher:
    """Searches one or several stores of a project."""

    def __init__(self, database: Database, embeddings: EmbeddingService, index: VectorIndex) -> None:
        self._database = database
        self._embeddings = embeddings
        self._index = index

    async def search(self, caller: Caller, store_ids: Sequence[str], body: SearchRequest) -> list[SearchResult]:
        """The best passages, best first; results of several stores are ranked together.

        Raises:
            NotFound: a store does not exist.
            BadRequest: a store has expired, or the request asks for what is not offered.
        """
        if body.rewrite_query:
            raise BadRequest(
                "rewrite_query is not supported: queries are searched as they are. Leave it out, or rewrite the query "
                "with a chat model first.",
                param="rewrite_query",
            )
        if len(store_ids) > MAX_STORES:
            raise BadRequest(f"At most {MAX_STORES} vector stores are searched at once.", param="vector_store_ids")
        options = body.ranking_options or RankingOptions()
        weight = ranking.text_weight(options)
        candidates: list[_Candidate] = []
        for store_id in dict.fromkeys(store_ids):
            candidates += await self._candidates(caller, store_id, body, reranked=weight > 0)
        scores = ranking.scores(
            body.queries,
            [candidate.chunk.text for candidate in candidates],
            [candidate.similarity for candidate in candidates],
            weight,
        )
        ranked = sorted(zip(scores, candidates, strict=True), key=lambda pair: -pair[0])
        kept = [pair for pair in ranked if pair[0] >= options.score_threshold][: body.max_num_results]
        return [_result(candidate, score) for score, candidate in kept]

    async def _candidates(
        self, caller: Caller, store_id: str, body: SearchRequest, *, reranked: bool
    ) -> list[_Candidate]:
        expression = ""
        async with self._database.read() as session:
            store = VectorStoreStore(session, caller.project_id)
            row = await usable(store, store_id)
            if body.filters is not None:
                wanted, others = await store.split(store_id, body.filters)
                if not wanted:
                    return []
                expression = file_expression(wanted, others)
        if now() - row.last_active_at >= _ACTIVE_SECONDS:
            await self._touch(caller, store_id)
        embedder = await self._embeddings.embedder(caller.project_id, row.embedding_model)
        vectors = (await embedder.embed(body.queries)).vectors
        # A few more than asked for: chunks of files that are being replaced or removed fall out below.
        limit = body.max_num_results * (ranking.CANDIDATES_PER_RESULT if reranked else 1) + _SPARE_CANDIDATES
        best: dict[int, float] = {}
        for hits in await self._index.search(store_id, vectors, limit=limit, expression=expression):
            for hit in hits:
                best[hit.chunk] = max(hit.similarity, best.get(hit.chunk, -1.0))
        async with self._database.read() as session:
            passages = await VectorStoreStore(session, caller.project_id).passages(store_id, list(best))
        return [_Candidate(*passages[number], best[number]) for number in best if number in passages]

    async def _touch(self, caller: Caller, store_id: str) -> None:
        """Note that the store is in use, which puts off its expiry; at most once a minute."""
        async with self._database.write() as session:
            row = await VectorStoreStore(session, caller.project_id).get(store_id)
            if row is not None and not row.expired:
                row.last_active_at = now()
                if row.expires_after_days is not None:
                    row.expires_at = row.last_active_at + row.expires_after_days * 86_400


def _result(candidate: _Candidate, score: float) -> SearchResult:
    return SearchResult(
        file_id=candidate.file.file_id,
        filename=candidate.file.filename,
        score=score,
        attributes=candidate.file.attributes,
        content=[chunk_to_public(candidate.chunk)],
    )
