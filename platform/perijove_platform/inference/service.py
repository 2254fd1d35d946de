"""One request of a client, from admission to accounting."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from perijove_platform.database import now
from perijove_platform.inference import chat, completions, embeddings
from perijove_platform.inference.admission import Admission
from perijove_platform.inference.catalog import Embedder, ModelEntry, ModelKind, UsageRecord, UsageSink
from perijove_platform.inference.engine import ContextExceeded, EngineSession, TokenCount, engine_failed
from perijove_platform.inference.router import Router
from perijove_platform.inference.schemas import ChatRequest, CompletionRequest, EmbeddingRequest
from perijove_platform.inference.upstream import Upstream, UpstreamError
from perijove_platform.rbac import Caller


class InferenceService:
    """OpenAI's inference routes.

    Args:
        router: where models and engines come from.
        admission: bounds of this process.
        usage: where requests are accounted.
        embedder: the embedding model of this process, if there is one.
    """

    def __init__(self, router: Router, admission: Admission, usage: UsageSink, embedder: Embedder | None) -> None:
        self._router = router
        self._admission = admission
        self._usage = usage
        self._embedder = embedder
        self._upstream = Upstream()

    async def start(self) -> None:
        await self._router.start()

    async def stop(self) -> None:
        await self._router.stop()
        self._upstream.close()

    @asynccontextmanager
    async def session(
        self, caller: Caller, name: str, kind: ModelKind = ModelKind.CHAT, *, context_param: str = "messages"
    ) -> AsyncIterator[EngineSession]:
        """A leased engine for one request; what it used is accounted when the block ends, however it ends.

        Args:
            context_param: the field to blame when the input is too long.
        """
        entry = await self._router.resolve(caller.project_id, name, kind)
        try:
            async with self._admission.slot(), self._router.lease(entry) as route:
                session = EngineSession(self._upstream, route)
                try:
                    yield session
                finally:
                    self._account(caller, entry, session.totals())
        except ContextExceeded as error:
            error.param = error.param or context_param
            raise
        except UpstreamError as error:
            # The cluster says more where it knows that the engine has ended; this is for all other reasons.
            raise engine_failed(entry, error) from error

    def _account(self, caller: Caller, entry: ModelEntry, count: TokenCount) -> None:
        if not count.prompt and not count.completion:
            return
        self._usage.record(
            UsageRecord(
                organization_id=caller.organization_id,
                project_id=caller.project_id,
                user_id=caller.user_id,
                api_key_id=caller.key_id,
                model=entry.model_id,
                operation="embeddings" if entry.kind is ModelKind.EMBEDDING else "completions",
                at=now(),
                prompt_tokens=count.prompt,
                completion_tokens=count.completion,
                cached_tokens=count.cached,
            )
        )

    async def chat(self, caller: Caller, request: ChatRequest) -> dict[str, Any]:
        async with self.session(caller, request.model) as session:
            return await chat.complete(session, request)

    def chat_stream(self, caller: Caller, request: ChatRequest) -> AsyncGenerator[bytes]:
        return self._stream(caller, request.model, lambda session: chat.stream(session, request))

    async def completion(self, caller: Caller, request: CompletionRequest) -> dict[str, Any]:
        async with self.session(caller, request.model, context_param="prompt") as session:
            return await completions.complete(session, request)

    def completion_stream(self, caller: Caller, request: CompletionRequest) -> AsyncGenerator[bytes]:
        return self._stream(
            caller, request.model, lambda session: completions.stream(session, request), context_param="prompt"
        )

    async def _stream(
        self,
        caller: Caller,
        name: str,
        frames: Callable[[EngineSession], AsyncGenerator[bytes]],
        *,
        context_param: str = "messages",
    ) -> AsyncGenerator[bytes]:
        async with (
            self.session(caller, name, context_param=context_param) as session,
            aclosing(frames(session)) as stream,
        ):
            async for frame in stream:
                yield frame

    async def embed(self, caller: Caller, request: EmbeddingRequest) -> dict[str, Any]:
        entry = await self._router.resolve(caller.project_id, request.model, ModelKind.EMBEDDING)
        if not entry.in_process:
            kind = ModelKind.EMBEDDING
            async with self.session(caller, request.model, kind, context_param="input") as session:
                return await embeddings.embed_by_engine(session, request)
        async with self._admission.slot():
            answer = await embeddings.embed_in_process(self._embedder, request)
        self._account(caller, entry, TokenCount(prompt=answer["usage"]["prompt_tokens"]))
        return answer
