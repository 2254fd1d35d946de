"""Filters against a plain reading of their meaning, on both databases."""

import random
from typing import Any

import pytest
from perijove_platform.vector_stores.filters import file_expression
from perijove_platform.vector_stores.schemas import SearchRequest
from perijove_platform.vector_stores.store import VectorStoreStore
from perijove_platform.vector_stores.tables import StoreFileRow, VectorStoreRow
from pydantic import ValidationError

KEYS = ["year", "a'b", 'q"uote', "back\\slash", "k) or (1==1", "ключ", "file"]
VALUES: list[Any] = [
    *(0, 1, -7, 2.5, 2**53, True, False, "", "1", "true", "x' or 'a'='a", 'x" or file >= 0 or "', "%", "_", "\\", "\n"),
    *("é", "Z", "a", "🪐", "'; drop table vector_stores; --", "{file}", "]"),
]
OPERATORS = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
FILES = 40


def draw_filter(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and rng.random() < 0.4:
        parts = [draw_filter(rng, depth + 1) for _ in range(rng.randint(1, 3))]
        return {"type": rng.choice(["and", "or"]), "filters": parts}
    operator = rng.choice(OPERATORS)
    value: Any = rng.choice(VALUES)
    if operator in ("in", "nin"):
        value = rng.sample(VALUES, rng.randint(0, 4))
    elif operator not in ("eq", "ne"):
        value = rng.choice([value for value in VALUES if not isinstance(value, bool)])
    return {"type": operator, "key": rng.choice(KEYS), "value": value}


def kind(value: Any) -> str:
    return "flag" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def same(left: Any, right: Any) -> bool:
    return kind(left) == kind(right) and left == right


def matches(filter: dict[str, Any], attributes: dict[str, Any]) -> bool:
    operator = filter["type"]
    if operator in ("and", "or"):
        return (all if operator == "and" else any)(matches(part, attributes) for part in filter["filters"])
    there, value = filter["key"] in attributes, filter["value"]
    own = attributes.get(filter["key"])
    if operator in ("eq", "ne"):
        return (there and same(own, value)) == (operator == "eq")
    if operator in ("in", "nin"):
        return (there and any(same(own, one) for one in value)) == (operator == "in")
    if not there or kind(own) != kind(value):
        return False
    return {"gt": own > value, "gte": own >= value, "lt": own < value, "lte": own <= value}[operator]


async def test_filters_mean_what_they_say_whatever_is_in_them(platform: Any) -> None:
    rng = random.Random(20261121)  # noqa: S311
    owner = {"organization_id": "o", "project_id": platform.project_id, "created_by": "u"}
    attributes: dict[int, dict[str, Any]] = {}
    async with platform.database.write() as session:
        store = VectorStoreStore(session, platform.project_id)
        await store.add(
            VectorStoreRow(id="vs_f", name="", pairs={}, embedding_model="wordllama", last_active_at=0, **owner)
        )
        for place in range(FILES):
            row = StoreFileRow(
                vector_store_id="vs_f", file_id=f"file-{place}", filename="f", status="completed", attributes={},
                max_chunk_size_tokens=800, chunk_overlap_tokens=400, **owner,
            )  # fmt: skip
            await store.add(row)
            drawn = {key: rng.choice(VALUES) for key in rng.sample(KEYS, rng.randint(0, len(KEYS)))}
            await store.set_attributes(row, drawn)
            attributes[row.number] = drawn
    decided = 0
    async with platform.database.read() as session:
        for _ in range(300):
            drawn_filter = draw_filter(rng)
            parsed = SearchRequest.model_validate({"query": "q", "filters": drawn_filter}).filters
            assert parsed is not None
            wanted, others = await VectorStoreStore(session, platform.project_id).split("vs_f", parsed)
            expected = {number for number, own in attributes.items() if matches(drawn_filter, own)}
            assert (wanted, others) == (expected, set(attributes) - expected), drawn_filter
            decided += 0 < len(wanted) < FILES
            assert set(file_expression(wanted, others)) <= set("file not in [0123456789, ]")
    assert decided > 50


@pytest.mark.parametrize(
    "filter",
    [
        {"type": "eq", "key": "", "value": 1},
        {"type": "eq", "key": "a", "value": None},
        {"type": "eq", "key": "a", "value": {"b": 1}},
        {"type": "eq", "key": "a\0", "value": 1},
        {"type": "eq", "key": "a", "value": 10**400},
        {"type": "eq", "key": "a", "value": "x" * 513},
        {"type": "in", "key": "a", "value": 1},
        {"type": "in", "key": "a", "value": [[1]]},
        {"type": "lt", "key": "a", "value": True},
        {"type": "and", "filters": []},
        {"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}] * 65},
        {"type": "xor", "filters": []},
        [],
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(filter: Any) -> None:
    with pytest.raises(ValidationError):
        SearchRequest.model_validate({"query": "q", "filters": filter})


async def test_filters_and_attributes_through_the_api(client: Any, folder: Any) -> None:
    store_id = (await client.post("/vector_stores", json={})).json()["id"]
    files = {year: folder.put(f"{year}.txt", f"The report of the year {year}.") for year in (2023, 2024, 2025)}
    items = [{"file_id": file_id, "attributes": {"year": year}} for year, file_id in files.items()]
    await client.post(f"/vector_stores/{store_id}/file_batches", json={"files": items})
    await client.settled(store_id)
    recent = {"type": "gte", "key": "year", "value": 2024}
    results = await client.found(store_id, "report", filters=recent)
    assert {result["attributes"]["year"] for result in results} == {2024, 2025}
    path = f"/vector_stores/{store_id}/files/{files[2023]}"
    updated = (await client.post(path, json={"attributes": {"year": 2026.5, "draft": False}})).json()
    assert updated["attributes"] == {"year": 2026.5, "draft": False}
    draft = {"type": "and", "filters": [recent, {"type": "eq", "key": "draft", "value": False}]}
    assert [hit["file_id"] for hit in await client.found(store_id, "report", filters=draft)] == [files[2023]]
    assert await client.found(store_id, "report", filters={"type": "eq", "key": "year", "value": "2024"}) == []
    too_many = {"attributes": {str(n): n for n in range(17)}}
    assert (await client.post(path, json=too_many)).status_code == 400


def test_the_shorter_side_is_named() -> None:
    assert file_expression({3, 1}, {2, 4, 5}) == "file in [1, 3]"
    assert file_expression({3, 1, 2}, {4}) == "file not in [4]"
    assert file_expression({1}, set()) == ""
