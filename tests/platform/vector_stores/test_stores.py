"""The life of a store and of its files, through the API."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from perijove_platform.database import now
from perijove_platform.vector_stores.tables import ChunkRow, StoreFileRow, VectorStoreRow

PLANETS = "Jupiter is the largest planet. Its great red spot is a storm."
BREAD = "Sourdough bread needs flour, water, salt and a lot of patience."


async def test_a_store_finds_the_passage_that_answers(client: Any, folder: Any) -> None:
    planets, bread = folder.put("planets.md", PLANETS), folder.put("bread.txt", BREAD)
    store_id = await client.store_with(planets, bread, name="facts", metadata={"team": "a"})
    store = (await client.get(f"/vector_stores/{store_id}")).json()
    assert store["file_counts"] == {"in_progress": 0, "completed": 2, "failed": 0, "cancelled": 0, "total": 2}
    assert store["usage_bytes"] == len(PLANETS) + len(BREAD) + 2 * 256 * 4
    results = await client.found(store_id, "a storm on the biggest planet")
    assert [result["file_id"] for result in results] == [planets, bread]
    assert 1 >= results[0]["score"] > results[1]["score"] >= 0
    assert results[0]["filename"] == "planets.md"
    assert results[0]["content"] == [
        {"type": "text", "text": PLANETS, "source": {"unit": "line", "start": 1, "end": 1}}
    ]


async def test_search_options(client: Any, folder: Any) -> None:
    store_id = await client.store_with(folder.put("p.md", PLANETS), folder.put("b.md", BREAD))
    assert len(await client.found(store_id, "planet", max_num_results=1)) == 1
    assert await client.found(store_id, "planet", ranking_options={"score_threshold": 0.99}) == []
    plain = await client.found(store_id, "flour", ranking_options={"ranker": "none"})
    words = await client.found(
        store_id,
        "flour",
        ranking_options={"ranker": "auto", "hybrid_search": {"embedding_weight": 0, "text_weight": 1}},
    )
    assert words[0]["filename"] == "b.md" and words[0]["score"] != plain[0]["score"]
    assert words[1]["score"] == 0
    body = {"query": ["storm", "flour"], "max_num_results": 2}
    answer = (await client.post(f"/vector_stores/{store_id}/search", json=body)).json()
    assert answer["object"] == "vector_store.search_results.page" and answer["search_query"] == ["storm", "flour"]
    assert {result["filename"] for result in answer["data"]} == {"p.md", "b.md"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"query": "x", "rewrite_query": True}, "rewrite_query"),
        ({"query": "x", "max_num_results": 51}, "max_num_results"),
        ({"query": "x", "ranking_options": {"ranker": "magic"}}, "ranker"),
        ({"query": ""}, "query"),
        ({"query": []}, "query"),
        ({"query": "x", "filters": {"type": "gt", "key": "a", "value": [1]}}, "one value"),
        ({"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}}, "type"),
        ({"query": "x", "surprise": 1}, "surprise"),
    ],
)
async def test_a_bad_search_is_refused(client: Any, body: dict[str, Any], says: str) -> None:
    store_id = (await client.post("/vector_stores", json={})).json()["id"]
    response = await client.post(f"/vector_stores/{store_id}/search", json=body)
    assert response.status_code == 400
    assert says in response.json()["error"]["message"]


async def test_a_filter_nested_without_end_is_refused(client: Any) -> None:
    store_id = (await client.post("/vector_stores", json={})).json()["id"]
    filter: dict[str, Any] = {"type": "eq", "key": "a", "value": 1}
    for _ in range(60):
        filter = {"type": "and", "filters": [filter]}
    response = await client.post(f"/vector_stores/{store_id}/search", json={"query": "x", "filters": filter})
    assert response.status_code == 400
    assert "nested" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {f"k{n}": "v" for n in range(17)}},
        {"metadata": {"k": "v" * 513}},
        {"expires_after": {"anchor": "created_at", "days": 1}},
        {"expires_after": {"anchor": "last_active_at", "days": 0}},
        {"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}}},
        {
            "chunking_strategy": {
                "type": "static",
                "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 101},
            }
        },
        {"embedding_model": "no-such-model"},
    ],
)
async def test_a_bad_store_is_refused(client: Any, body: dict[str, Any]) -> None:
    response = await client.post("/vector_stores", json=body)
    assert response.status_code == 400, response.text
    assert (await client.get("/vector_stores")).json()["data"] == []


async def test_modify_clears_with_null_and_keeps_what_is_not_named(client: Any) -> None:
    body = {"name": "n", "metadata": {"a": "b"}, "expires_after": {"anchor": "last_active_at", "days": 3}}
    store = (await client.post("/vector_stores", json=body)).json()
    assert store["expires_at"] == store["last_active_at"] + 3 * 86_400
    path = f"/vector_stores/{store['id']}"
    changed = (await client.post(path, json={"expires_after": None})).json()
    assert (changed["name"], changed["metadata"], changed["expires_at"]) == ("n", {"a": "b"}, None)
    refused = await client.post(path, json={"embedding_model": "wordllama"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "embedding_model"


async def test_lists_page_in_both_directions(client: Any, folder: Any) -> None:
    ids = [(await client.post("/vector_stores", json={"name": str(n)})).json()["id"] for n in range(5)]
    first = (await client.get("/vector_stores", params={"limit": 2})).json()
    assert [store["id"] for store in first["data"]] == ids[:-3:-1] and first["has_more"]
    rest = (await client.get("/vector_stores", params={"after": first["last_id"], "limit": 10})).json()
    assert [store["id"] for store in rest["data"]] == ids[2::-1] and not rest["has_more"]
    files = [folder.put(f"{n}.txt", f"number {n}") for n in range(4)]
    files.reverse()
    for file_id in files:
        await client.post(f"/vector_stores/{ids[0]}/files", json={"file_id": file_id})
    listing = f"/vector_stores/{ids[0]}/files"
    page = (await client.get(listing, params={"order": "asc", "after": files[0], "limit": 2})).json()
    assert [file["id"] for file in page["data"]] == files[1:3]
    assert (await client.get(listing, params={"before": files[0], "order": "asc"})).json()["data"] == []
    assert (await client.get(listing, params={"after": "file-unknown"})).status_code == 400


async def test_nothing_of_another_project_is_reachable(platform: Any, folder: Any) -> None:
    async with platform.client() as mine, platform.client("theirs") as theirs:
        file_id = folder.put("p.md", PLANETS)
        store_id = await mine.store_with(file_id)
        base = f"/vector_stores/{store_id}"
        for method, path, body in (
            ("GET", base, None),
            ("DELETE", base, None),
            ("POST", base, {"name": "x"}),
            ("POST", f"{base}/search", {"query": "x"}),
            ("GET", f"{base}/files", None),
            ("GET", f"{base}/files/{file_id}", None),
            ("GET", f"{base}/files/{file_id}/content", None),
            ("POST", f"{base}/files", {"file_id": file_id}),
        ):
            assert (await theirs.request(method, path, json=body)).status_code == 404, path
        assert (await theirs.get("/vector_stores")).json()["data"] == []
        assert (await theirs.post("/vector_stores", json={"file_ids": [file_id]})).status_code == 404


async def test_deleting_removes_from_the_api_and_the_index(platform: Any, folder: Any) -> None:
    async with platform.client() as client:
        planets, bread = folder.put("p.md", PLANETS), folder.put("b.md", BREAD)
        store_id = await client.store_with(planets, bread)
        answer = (await client.delete(f"/vector_stores/{store_id}/files/{planets}")).json()
        assert answer == {"id": planets, "object": "vector_store.file.deleted", "deleted": True}
        assert [hit["file_id"] for hit in await client.found(store_id, "planet")] == [bread]
        await platform.service.on_file_deleted(platform.project_id, bread)
        assert await client.found(store_id, "planet") == []
        assert await platform.service._index.stores() == {store_id}
        answer = (await client.delete(f"/vector_stores/{store_id}")).json()
        assert answer == {"id": store_id, "object": "vector_store.deleted", "deleted": True}
        assert await platform.service._index.stores() == set()
        assert (await client.get(f"/vector_stores/{store_id}")).status_code == 404


async def test_a_deleted_file_leaves_by_its_event_even_across_a_restart(make: Any, folder: Any) -> None:
    platform = await make()
    async with platform.client() as client:
        file_id = folder.put("p.md", PLANETS)
        store_id = await client.store_with(file_id)
    await platform.service.stop()
    async with platform.database.write() as session:
        await platform.events.publish(session, "file.deleted", platform.project_id, file_id, {"id": file_id})
    restarted = await make()
    async with restarted.client() as client, asyncio.timeout(60):
        async for event in restarted.events.subscribe(project_id=platform.project_id, last_id=0):
            if event.type == "vector_store.file.deleted":
                break
        assert (await client.get(f"/vector_stores/{store_id}/files")).json()["data"] == []


async def test_content_is_the_text_in_order(client: Any, folder: Any) -> None:
    text = "\n".join(f"line {n} says something of its own" for n in range(200))
    strategy = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    file_id = folder.put("long.txt", text)
    store_id = await client.store_with(file_id, chunking_strategy=strategy)
    answer = (await client.get(f"/vector_stores/{store_id}/files/{file_id}/content")).json()
    assert "\n".join(part["text"] for part in answer["data"]) == text
    assert len(answer["data"]) > 10
    assert answer["data"][1]["source"]["start"] == answer["data"][0]["source"]["end"] + 1


async def test_batches(platform: Any, folder: Any) -> None:
    async with platform.client() as client:
        store_id = (await client.post("/vector_stores", json={})).json()["id"]
        base = f"/vector_stores/{store_id}/file_batches"
        good, empty = folder.put("a.md", PLANETS), folder.put("e.txt", b"")
        body = {"files": [{"file_id": good, "attributes": {"n": 1}}, {"file_id": empty}]}
        batch = (await client.post(base, json=body)).json()
        assert batch["object"] == "vector_store.files_batch"
        await client.settled(store_id)
        done = (await client.get(f"{base}/{batch['id']}")).json()
        assert done["status"] == "completed"
        assert done["file_counts"] == {"in_progress": 0, "completed": 1, "failed": 1, "cancelled": 0, "total": 2}
        failed = (await client.get(f"{base}/{batch['id']}/files", params={"filter": "failed"})).json()["data"]
        assert [(file["id"], file["last_error"]["code"]) for file in failed] == [(empty, "invalid_file")]
        folder.gate.clear()
        more = [folder.put(f"{n}.md", PLANETS) for n in range(5)]
        batch = (await client.post(base, json={"file_ids": more, "attributes": {"a": True}})).json()
        assert batch["status"] == "in_progress"
        cancelled = (await client.post(f"{base}/{batch['id']}/cancel")).json()
        assert (cancelled["status"], cancelled["file_counts"]["cancelled"]) == ("cancelled", 5)
        folder.gate.set()
        last = folder.put("last.md", BREAD)
        await client.post(f"/vector_stores/{store_id}/files", json={"file_id": last})
        await client.settled(store_id)
        assert {hit["file_id"] for hit in await client.found(store_id, "planet")} == {good, last}
        assert (await client.post(base, json={})).status_code == 400
        assert (await client.post(base, json={"file_ids": more, "files": body["files"]})).status_code == 400


async def test_an_expired_store_loses_its_content(platform: Any, folder: Any) -> None:
    async with platform.client() as client:
        expires = {"anchor": "last_active_at", "days": 1}
        store_id = await client.store_with(folder.put("p.md", PLANETS), expires_after=expires)
        assert await platform.service.expire_due() == 0
        async with platform.database.write() as session:
            await session.execute(sa.update(VectorStoreRow).values(expires_at=now() - 1))
        assert await platform.service.expire_due() == 1
        store = (await client.get(f"/vector_stores/{store_id}")).json()
        assert (store["status"], store["usage_bytes"], store["file_counts"]["total"]) == ("expired", 0, 1)
        response = await client.post(f"/vector_stores/{store_id}/search", json={"query": "planet"})
        assert response.status_code == 400 and response.json()["error"]["code"] == "vector_store_expired"
        assert await platform.service._index.stores() == set()


async def test_every_change_is_an_event(platform: Any, folder: Any) -> None:
    async with platform.client() as client:
        file_id = folder.put("p.md", PLANETS)
        store_id = await client.store_with(file_id)
        await client.delete(f"/vector_stores/{store_id}/files/{file_id}")
        await client.delete(f"/vector_stores/{store_id}")
    seen = []
    async with asyncio.timeout(60):
        async for event in platform.events.subscribe(project_id=platform.project_id, last_id=0):
            seen.append((event.type, event.data.get("status")))
            if event.type == "vector_store.deleted":
                break
    assert seen == [
        ("vector_store.file.created", "in_progress"),
        ("vector_store.created", "in_progress"),
        ("vector_store.file.updated", "completed"),
        ("vector_store.updated", "completed"),
        ("vector_store.file.deleted", "completed"),
        ("vector_store.updated", "completed"),
        ("vector_store.deleted", "completed"),
    ]


async def test_indexing_again_doubles_nothing(platform: Any, folder: Any) -> None:
    async with platform.client() as client:
        file_id = folder.put("p.md", PLANETS)
        store_id = await client.store_with(file_id)
        for _ in range(3):
            await client.post(f"/vector_stores/{store_id}/files", json={"file_id": file_id})
            await client.settled(store_id)
        assert len(await client.found(store_id, "planet")) == 1
        async with platform.database.read() as session:
            assert await session.scalar(sa.select(sa.func.count()).select_from(ChunkRow)) == 1


async def test_what_was_being_indexed_is_taken_up_after_a_restart(make: Any, folder: Any) -> None:
    platform = await make()
    folder.gate.clear()
    async with platform.client() as client:
        body = {"file_ids": [folder.put("p.md", PLANETS)]}
        store_id = (await client.post("/vector_stores", json=body)).json()["id"]
    await platform.service.stop()
    folder.gate.set()
    restarted = await make()
    async with restarted.client() as client:
        assert (await client.settled(store_id))["file_counts"]["completed"] == 1
        assert len(await client.found(store_id, "planet")) == 1


async def test_unfinished_work_never_shows_and_is_replaced(make: Any, folder: Any) -> None:
    """As after kill -9 between the index and SQL: chunks and vectors are there, the file is still in progress."""
    platform = await make()
    async with platform.client() as client:
        store_id = await client.store_with(folder.put("p.md", PLANETS))
        folder.gate.clear()
        async with platform.database.write() as session:
            await session.execute(sa.update(StoreFileRow).values(status="in_progress"))
        assert await client.found(store_id, "planet") == []
    await platform.service.stop()
    folder.gate.set()
    restarted = await make()
    async with restarted.client() as client:
        await client.settled(store_id)
        assert len(await client.found(store_id, "planet")) == 1
