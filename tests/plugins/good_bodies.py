"""A good JSON body of each kind that the OpenAPI document names, and how to make bad ones of it."""

from collections.abc import Iterator
from typing import Any

BOUNDS_OF_AN_ANSWER = {"max_tokens", "max_completion_tokens", "max_output_tokens"}
"""Kept, since without its limit an answer is as long as the model likes."""
MANY = 3000
DEEP: dict[str, Any] = {}
"""A valid JSON object of moderate depth, which a recursive reader of ours must survive."""
_inner = DEEP
for _ in range(400):
    _inner["items"] = {}
    _inner = _inner["items"]


def deep_filter(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
    for _ in range(depth):
        found = {"type": "and", "filters": [found]}
    return found


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CHUNKING = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 10}}
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "ApiKeyCreate": [{"name": "n", "scopes": ["files.read"], "expires_in_seconds": 60}],
    "ChatRequest": [
        {
            "model": "chat",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            "max_completion_tokens": 1,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "stop": ["x"],
            "logit_bias": {"1": 1},
            "metadata": {"a": "b"},
        },
        {
            "model": "chat",
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": "1"},
            ],
            "max_completion_tokens": 1,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    ],
    "BatchJobCreate": [
        {
            "name": "n",
            "command": ["true"],
            "environment": {"A": "b"},
            "files": [{"file_id": "file-x", "path": "a/b"}],
            "resources": {"cpus": 1.0, "memory_bytes": 1 << 26, "gpus": 0},
            "completions": 2,
            "parallelism": 1,
            "priority": 1,
            "max_run_seconds": 60,
            "cluster": "local",
            "metadata": {"a": "b"},
        }
    ],
    "ClusterCreate": [{"name": "gpu-2", "description": "d", "token_expires_in_seconds": 60}],
    "ClusterUpdate": [{"description": "d"}],
    "RegistrationTokenCreate": [{"expires_in_seconds": 60}],
    "QuotaPut": [{"resources": {"cpu": "500m", "nvidia.com/gpu": 2}, "cohort": "c"}],
    "CompletionRequest": [{"model": "chat", "prompt": ["Hi"], "max_tokens": 1, "logit_bias": {"1": 1}, "stop": ["x"]}],
    "EmbeddingRequest": [{"model": "wordllama", "input": ["a"], "dimensions": 64}],
    "JobCreate": [
        {
            "model": "chat",
            "training_file": "file-x",
            "suffix": "s",
            "seed": 1,
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}},
            "metadata": {"a": "b"},
            "priority": 1,
            "max_run_seconds": 60,
        }
    ],
    "ModelCreate": [
        {"id": "bad-input", "source": {"type": "path", "path": "/nowhere.gguf"}},
        {"id": "bad-input", "source": {"type": "hub", "repo": "a/b", "file": "c.gguf", "revision": "main"}},
    ],
    "AliasCreate": [{"alias": "other"}],
    "ResponseRequest": [
        {
            "model": "chat",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            "max_output_tokens": 1,
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
            "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}},
            "reasoning": {"effort": "low"},
            "metadata": {"a": "b"},
        },
        {
            "model": "chat",
            "input": "Hi",
            "max_output_tokens": 1,
            "tools": [{"type": "file_search", "vector_store_ids": ["{vector_store_id}"], "filters": deep_filter(1)}],
        },
    ],
    "SessionTokenCreate": [{}],
    "ReportsCreate": [
        {
            "attempt": 1,
            "from": 1,
            "reports": [
                {"type": "message", "level": "info", "message": "m"},
                {"type": "metrics", "step": 1, "total_steps": 2, "epoch": 0.5, "train_loss": 0.5},
            ],
        }
    ],
    "UrlsCreate": [{"put": ["checkpoints/00001.tar"]}],
    "UploadCreate": [
        {
            "filename": "f",
            "purpose": "assistants",
            "bytes": 1,
            "mime_type": "text/plain",
            "expires_after": {"anchor": "created_at", "seconds": 3600},
        }
    ],
    "UploadComplete": [{"part_ids": ["part_x"], "md5": "0" * 32}],
    "VectorStoreCreate": [
        {
            "name": "n",
            "file_ids": ["{file_id}"],
            "metadata": {"a": "b"},
            "expires_after": {"anchor": "last_active_at", "days": 1},
            "chunking_strategy": CHUNKING,
        }
    ],
    "VectorStoreUpdate": [{"name": "n", "metadata": {"a": "b"}}],
    "FileAttach": [{"file_id": "{file_id}", "attributes": {"a": "b"}, "chunking_strategy": CHUNKING}],
    "FileUpdate": [{"attributes": {"a": "b"}}],
    "FileBatchCreate": [
        {"file_ids": ["{file_id}"], "attributes": {"a": "b"}},
        {"files": [{"file_id": "{file_id}", "attributes": {"a": "b"}}]},
    ],
    "SearchRequest": [
        {
            "query": ["q"],
            "filters": {"type": "and", "filters": [{"type": "eq", "key": "a", "value": "b"}]},
            "ranking_options": {"score_threshold": 0.1, "hybrid_search": {"embedding_weight": 1, "text_weight": 1}},
        }
    ],
}
"""A body of each kind that the document names; each of its values is replaced by each of the bad ones."""


def mutations(example: dict[str, Any], properties: list[str], values: tuple[Any, ...]) -> Iterator[Any]:
    """The example with one thing wrong: each value replaced, left out, or joined by an unknown one."""
    yield from _replaced(example, values)
    for name in properties:
        if name not in example and name not in BOUNDS_OF_AN_ANSWER:
            for bad in (*values, DEEP):
                yield {**example, name: bad}


def _replaced(value: Any, values: tuple[Any, ...]) -> Iterator[Any]:
    if isinstance(value, dict):
        yield {**value, "nmae": 1}
        for name, inner in value.items():
            if name in BOUNDS_OF_AN_ANSWER:
                continue
            yield {other: kept for other, kept in value.items() if other != name}
            for bad in (*_replaced(inner, values), *values):
                yield {**value, name: bad}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for bad in (*_replaced(inner, values), *values):
                yield [*value[:index], bad, *value[index + 1 :]]
        yield value * MANY
