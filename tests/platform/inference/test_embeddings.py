"""Embeddings by the unmodified openai client, from the real wordllama."""

import math
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_near_texts_have_near_vectors(openai_client: AsyncOpenAI) -> None:
    answer = await openai_client.embeddings.create(
        model="wordllama", input=["a cat sleeps", "the kitten is asleep", "interest rates rose"]
    )
    cat, kitten, rates = (item.embedding for item in answer.data)
    assert len(cat) == 256 and math.isclose(_cosine(cat, cat), 1, abs_tol=1e-4)
    assert _cosine(cat, kitten) > _cosine(cat, rates)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 5
    assert [item.index for item in answer.data] == [0, 1, 2]


async def test_base64_and_float_are_the_same_vectors(openai_client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    # The client asks for base64 by itself and decodes it.
    decoded = (await openai_client.embeddings.create(model="wordllama", input="hello")).data[0].embedding
    raw = (await http.post("/v1/embeddings", json={"model": "wordllama", "input": "hello"})).json()
    assert raw["data"][0]["embedding"] == pytest.approx(decoded)


async def test_shorter_vectors_have_length_one(openai_client: AsyncOpenAI) -> None:
    short = (await openai_client.embeddings.create(model="wordllama", input="hello", dimensions=64)).data[0].embedding
    assert len(short) == 64 and math.isclose(_cosine(short, short), 1, abs_tol=1e-4)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"dimensions": 100}, "dimensions"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"model": "smollm2"}, "model"),
        ({"extra": 1}, "extra"),
    ],
)
async def test_bad_requests_are_refused_by_name(http: httpx.AsyncClient, change: Any, param: str) -> None:
    response = await http.post("/v1/embeddings", json={"model": "wordllama", "input": "x", **change})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"].startswith(param)


async def test_an_unknown_model_is_not_found(openai_client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="wordllama"):
        await openai_client.embeddings.create(model="ada", input="x")
