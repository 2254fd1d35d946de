"""`EngineConfig` as xllamacpp's `CommonParams`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil

from perijove_platform.engines.config import EngineConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

# Room in memory for prompts of earlier chats, so that going on with one does not read it again.
_PROMPT_CACHE_MIB = 256
_HTTP_THREADS_BESIDE_REQUESTS = 4
_ERRORS_ONLY = 1


def context_length(config: EngineConfig, trained: int | None) -> int:
    """Tokens that one request can use: what was asked for, or the model's own within the bound."""
    if config.context_length is not None:
        return config.context_length
    return min(trained or config.max_context_length, config.max_context_length)


def slots(config: EngineConfig) -> int:
    """Sequences that share the context memory (the KV cache) at the same time."""
    return max(1, config.parallel)


def common_params(config: EngineConfig, metadata: Mapping[str, Any]) -> Any:
    """The parameters for `xllamacpp.Server`.

    Args:
        metadata: the model file's own keys, as `gguf_header.read_header` gives them.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config.model_path
    params.model_alias = {config.model_id}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config.api_key]
    params.ui = False
    params.prefill_assistant = False  # a chat that ends with the assistant gets a new turn, as OpenAI has it
    params.endpoint_metrics = True
    params.verbosity = _ERRORS_ONLY
    params.cors_origins = ""
    params.n_ctx = context_length(config, metadata.get("context_length"))
    params.n_parallel = slots(config)
    params.n_threads_http = slots(config) + _HTTP_THREADS_BESIDE_REQUESTS
    params.kv_unified = True  # slots share the context memory, so that one request may use all of it
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.n_gpu_layers = -1
    threads = config.threads or psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    if config.embedding:
        _for_embeddings(params, metadata)
    params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, scale=0.0) for path in config.adapters]
    return params


def _for_embeddings(params: Any, metadata: Mapping[str, Any]) -> None:
    import xllamacpp

    params.embedding = True
    # Encoders see a text as a whole: it has to fit into one physical batch.
    params.n_batch = params.n_ubatch = params.n_ctx
    if "pooling_type" not in metadata:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
