"""What engines are asked and what they answer: one generation as a stream of deltas, with its token counts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from perijove_platform.errors import ApiError, BadGateway, BadRequest, Unavailable
from perijove_platform.inference.catalog import ModelEntry
from perijove_platform.inference.router import Route
from perijove_platform.inference.upstream import Connection, Upstream, UpstreamError

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_BODY_BYTES = 512 * 1024 * 1024


@dataclass(slots=True)
class TokenCount:
    """Tokens of one generation; grows while it runs, so that an interrupted one is accounted too."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0


@dataclass(slots=True)
class Delta:
    """What one event of an engine's stream adds.

    Attributes:
        reasoning: thinking that the engine keeps apart from the answer.
        logprobs: one entry per token, as OpenAI's chat completions have them.
        tool_calls: OpenAI's tool call deltas.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] | None = None
    logprobs: list[dict[str, Any]] | None = None
    finish_reason: str | None = None


class ContextExceeded(BadRequest):
    """The prompt is longer than the model's context; both lengths in tokens."""

    def __init__(self, prompt_tokens: int, context_length: int) -> None:
        super().__init__(
            f"This model's maximum context length is {context_length} tokens, and the request has {prompt_tokens} "
            "tokens of input. Shorten the input.",
            code="context_length_exceeded",
        )
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length


def engine_failed(entry: ModelEntry, reason: object) -> BadGateway:
    return BadGateway(
        f"The engine of model '{entry.model_id}' failed during this request: {reason}. It is started again by "
        "the next request: send this one again. If that fails too, the engine's log says why.",
        code="engine_failed",
    )


def translate(route: Route, status: int, body: Any) -> ApiError:
    """The error that an engine's own error means to our client."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    message = str(error.get("message") or body)[:1000]
    if error.get("type") == "exceed_context_size_error":
        return ContextExceeded(int(error.get("n_prompt_tokens", 0)), int(error.get("n_ctx", 0)))
    if status == 400 or error.get("code") == 400:
        return BadRequest(f"The engine refused the request: {message.rstrip('.')}.", code="invalid_value")
    if status == 503:
        return Unavailable(
            f"The engine is not ready: {message.rstrip('.')}. Send the request again shortly.", code="engine_busy"
        )
    if status == 501:
        return BadRequest(f"The engine does not support this request: {message.rstrip('.')}.", code="unsupported")
    return engine_failed(route.entry, message.rstrip("."))


class EngineSession:
    """Requests of one client request to one leased engine."""

    def __init__(self, upstream: Upstream, route: Route) -> None:
        self._upstream = upstream
        self.route = route
        self.counts: list[TokenCount] = []
        self.fingerprint: str | None = None

    def totals(self) -> TokenCount:
        """The sum over all generations that were begun."""
        return TokenCount(
            prompt=sum(count.prompt for count in self.counts),
            completion=sum(count.completion for count in self.counts),
            cached=sum(count.cached for count in self.counts),
        )

    async def supports_tools(self) -> bool:
        """Whether the model's chat template knows tools."""
        status, body = await self._fetch("/props", None)
        caps = body.get("chat_template_caps", {}) if status == 200 else {}
        return bool(caps.get("supports_tools", True))

    async def embed(self, inputs: list[Any]) -> dict[str, Any]:
        """The engine's answer to one embeddings request, with `data` and `usage`."""
        status, body = await self._fetch(EMBEDDINGS, {"input": inputs, "encoding_format": "float", **self._lora()})
        if status != 200:
            raise translate(self.route, status, body)
        self.counts.append(TokenCount(prompt=int(body["usage"]["prompt_tokens"])))
        return dict(body)

    async def generate(self, path: str, body: Mapping[str, Any], *, count_prompt: bool = True) -> AsyncGenerator[Delta]:
        """Stream one generation; close the generator (`contextlib.aclosing`) to stop it.

        Args:
            count_prompt: whether its prompt is accounted; further choices of the same prompt are not.

        Raises:
            ApiError: what the engine refuses, before the first delta.
            UpstreamError: the engine failed.
        """
        count = TokenCount()
        self.counts.append(count)
        message = orjson.dumps(
            {**body, **self._lora(), "stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
        )
        endpoint = self.route.endpoint
        async with self._upstream.request(endpoint.base_url, path, endpoint.headers, message) as connection:
            if connection.status != 200:
                raise translate(self.route, connection.status, _parsed(await _bounded(connection)))
            async with aclosing(_events(connection)) as events:
                async for event in events:
                    delta = self._read(event, count, count_prompt=count_prompt)
                    if delta is not None:
                        yield delta

    def _read(self, event: dict[str, Any], count: TokenCount, *, count_prompt: bool) -> Delta | None:
        if "error" in event:
            raise translate(self.route, 500, event)
        if (progress := event.get("prompt_progress")) is not None:
            if count_prompt:
                count.prompt, count.cached = int(progress["total"]), int(progress["cache"])
            return None
        if (usage := event.get("usage")) is not None:
            count.completion = int(usage["completion_tokens"])
            if count_prompt:
                count.prompt = int(usage["prompt_tokens"])
                count.cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        self.fingerprint = self.fingerprint or event.get("system_fingerprint")
        choices = event.get("choices")
        if not choices:
            return None
        choice = choices[0]
        inner = choice.get("delta") or choice
        delta = Delta(
            inner.get("content") or inner.get("text") or "",
            inner.get("reasoning_content") or "",
            inner.get("tool_calls"),
            (choice.get("logprobs") or {}).get("content"),
            choice.get("finish_reason"),
        )
        if usage is None and (delta.text or delta.reasoning or delta.tool_calls):
            count.completion += 1
        worth = delta.text or delta.reasoning or delta.tool_calls or delta.finish_reason or delta.logprobs
        return delta if worth else None

    def _lora(self) -> dict[str, Any]:
        """Which adapter answers. Every adapter is named, switched off or on, for the base model's requests too:

        a request that names none would reuse a prompt cache that an adapter's request has computed.
        """
        indexes = self.route.endpoint.adapter_index.values()
        if not indexes:
            return {}
        return {"lora": [{"id": index, "scale": float(index == self.route.adapter)} for index in indexes]}

    async def _fetch(self, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        endpoint = self.route.endpoint
        message = None if body is None else orjson.dumps(body)
        async with self._upstream.request(endpoint.base_url, path, endpoint.headers, message) as connection:
            return connection.status, _parsed(await _bounded(connection))


async def _bounded(connection: Connection) -> bytes:
    body = bytearray()
    async for chunk in connection.body():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise UpstreamError(f"its answer is longer than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"error": {"message": body[:500].decode(errors="replace")}}


async def _events(connection: Connection) -> AsyncGenerator[dict[str, Any]]:
    """The JSON of each server-sent event, until ``[DONE]``.

    Raises:
        UpstreamError: the stream ended without ``[DONE]``, or is not JSON.
    """
    pending = b""
    chunks: AsyncIterator[bytes] = connection.body()
    async for chunk in chunks:
        pending += chunk
        if b"\n\n" not in chunk and not pending.endswith(b"\n\n"):
            if len(pending) > MAX_EVENT_BYTES:
                raise UpstreamError(f"an event is longer than {MAX_EVENT_BYTES} bytes")
            continue
        *events, pending = pending.split(b"\n\n")
        for event in events:
            data = _data(event)
            if data == b"[DONE]":
                # Read to the end, so that the connection can serve the next request.
                async for _ in chunks:
                    pass
                return
            if data:
                yield _event_json(data)
    raise UpstreamError("the engine ended its answer in the middle")


def _data(event: bytes) -> bytes:
    if event.startswith(b"data: "):
        return event[6:].strip()
    return event[7:].strip() if event.startswith(b"error: ") else b""


def _event_json(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UpstreamError("the engine sent an event that is not JSON") from error
    return value if isinstance(value, dict) and ("choices" in value or "error" in value) else {"error": value}
