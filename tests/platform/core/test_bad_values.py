"""Bodies with one thing wrong, to every route that takes JSON: never a failure of ours, always the envelope."""

from typing import Any

import pytest
from attacker import Attacker, Routes
from good_bodies import EXAMPLES, deep_filter, mutations

VALUES_FOR_DATABASES: tuple[Any, ...] = (
    *(2**31, 2**63, "a\0b", "\ud800", "x" * 300, "x" * 100_000, ["a\0b"], {"a\0": "\ud800"}),
)
"""Those of which one database thinks otherwise than the other."""
BAD_VALUES: tuple[Any, ...] = (
    *VALUES_FOR_DATABASES,
    *(None, True, -1, 0, 1.5, 10**400, float("nan")),
    *("", " ", "../../etc/passwd", "/dev/zero", "auto"),
    *([], [None], {}, {"a": None}),
)
VALUES_FOR_ENGINES: tuple[Any, ...] = ("\0", "\ud800", "auto", 0, {"type": "a\0"}, [])
"""Each costs an engine some milliseconds."""
SERVED_BY_ENGINES = ("ChatRequest", "CompletionRequest", "EmbeddingRequest", "ResponseRequest")
WITHOUT_DATABASE = ("ChatRequest", "CompletionRequest", "EmbeddingRequest")
"""Refused before a database is asked."""


def test_every_kind_of_body_has_an_example() -> None:
    assert {schema for _, _, schema in Routes().json_bodies()} == set(EXAMPLES)


@pytest.mark.parametrize(
    ("database_url", "values"),
    [
        pytest.param("sqlite", BAD_VALUES, id="sqlite"),
        pytest.param("postgresql", VALUES_FOR_DATABASES, id="postgresql"),
    ],
    indirect=["database_url"],
)
async def test_bad_values(attacker: Attacker, values: tuple[Any, ...]) -> None:
    routes = Routes()
    for method, path, schema in routes.json_bodies():
        if values is VALUES_FOR_DATABASES and schema in WITHOUT_DATABASE:
            continue
        for example in map(attacker.filled, EXAMPLES[schema]):
            await attacker.send_json(method, path, example)
            # What passes the checks is another test's, with fewer values: it keeps an engine busy.
            unserved = {**example, "model": "absent"} if schema in SERVED_BY_ENGINES else example
            for body in mutations(unserved, routes.properties(schema), values):
                await attacker.send_json(method, path, body)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_bad_values_for_an_engine(attacker: Attacker) -> None:
    """What passes the checks of the schema must be survived by what comes after them."""
    routes = Routes()
    for method, path, schema in routes.json_bodies():
        if schema in SERVED_BY_ENGINES:
            for example in map(attacker.filled, EXAMPLES[schema]):
                for body in mutations(example, routes.properties(schema), VALUES_FOR_ENGINES):
                    await attacker.send_json(method, path, body)


async def test_deep_values(attacker: Attacker) -> None:
    """What is looked through recursively: filters and schemas."""
    for depth in (30, 400):
        await send_deep(attacker, depth)


async def send_deep(attacker: Attacker, depth: int) -> None:
    filters = deep_filter(depth)
    await attacker.send_json("POST", "/v1/vector_stores/{vector_store_id}/search", {"query": "q", "filters": filters})
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth // 2):
        schema = {"type": "object", "properties": {"a": schema}}
    chat = EXAMPLES["ChatRequest"][1]
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    for stream in (False, True):
        body = {**chat, "response_format": response_format, "stream": stream, "stream_options": None}
        await attacker.send_json("POST", "/v1/chat/completions", body)
    tool = {"type": "function", "name": "f", "parameters": schema}
    search = {"type": "file_search", "vector_store_ids": [attacker.ids["vector_store_id"]], "filters": filters}
    for tools in ([tool], [search]):
        body = {"model": "chat", "input": "Hi", "max_output_tokens": 1, "tools": tools}
        await attacker.send_json("POST", "/v1/responses", body)
