"""Embedding models that an engine serves: any embedding GGUF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perijove_platform.embeddings.base import Embeddings
from perijove_platform.embeddings.wordllama import normalized
from perijove_platform.errors import BadGateway, BadRequest
from perijove_platform.runtimes.base import Endpoint, ModelSpec, Serving

if TYPE_CHECKING:
    import httpx
    from numpy.typing import NDArray

_BATCH = 16
_SECONDS = 300.0


class EngineEmbedder:
    """`Embedder` over an engine's ``/v1/embeddings``; the engine starts when first used.

    Args:
        model: the name by which clients know the model.
        spec: what is served; `ModelSpec.embedding` must be set.
    """

    def __init__(self, model: str, spec: ModelSpec, serving: Serving) -> None:
        self.model_id = model
        self._spec = spec
        self._serving = serving

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        import httpx
        import numpy as np

        parts: list[NDArray[np.float32]] = []
        tokens = 0
        async with self._serving.use(self._spec) as endpoint, httpx.AsyncClient(timeout=_SECONDS) as client:
            for start in range(0, len(texts), _BATCH):
                body = await self._post(client, endpoint, list(texts[start : start + _BATCH]))
                rows = sorted(body["data"], key=lambda row: int(row["index"]))
                parts.append(np.asarray([row["embedding"] for row in rows], dtype=np.float32))
                tokens += int(body.get("usage", {}).get("prompt_tokens", 0))
        if not parts:
            return Embeddings(np.zeros((0, 0), dtype=np.float32), 0)
        return Embeddings(normalized(np.concatenate(parts)), tokens)

    async def _post(self, client: httpx.AsyncClient, endpoint: Endpoint, texts: list[str]) -> dict[str, Any]:
        import httpx

        payload = {"model": self.model_id, "input": texts, "encoding_format": "float"}
        try:
            response = await client.post(
                f"{endpoint.base_url}/v1/embeddings", json=payload, headers=dict(endpoint.headers)
            )
        except httpx.HTTPError as error:
            raise BadGateway(
                f"The engine of '{self.model_id}' stopped answering ({type(error).__name__}). Try again; "
                "its log says why."
            ) from error
        if response.is_success:
            answer: dict[str, Any] = response.json()
            return answer
        reason = _reason(response)
        if response.status_code < 500 or "too large" in reason or "context" in reason:
            raise BadRequest(f"'{self.model_id}' refused the input: {reason}. Send shorter texts.", param="input")
        raise BadGateway(f"The engine of '{self.model_id}' failed: {reason}.")


def _reason(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"
