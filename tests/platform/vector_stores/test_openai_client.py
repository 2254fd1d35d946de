"""The unmodified `openai` client."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError


@pytest.fixture
async def openai(platform: Any) -> AsyncOpenAI:
    http = httpx.AsyncClient(transport=httpx.ASGITransport(platform.app))
    return AsyncOpenAI(api_key="mine", base_url="http://platform/v1", http_client=http, max_retries=0)


async def test_the_whole_api(openai: AsyncOpenAI, folder: Any) -> None:
    ids = [folder.put(f"{n}.md", f"Moon number {n} of Jupiter.") for n in range(5)]
    stores = openai.vector_stores
    store = await stores.create(
        name="moons", metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 7}, description="d"
    )
    attached = await stores.files.create_and_poll(
        ids[0], vector_store_id=store.id, attributes={"n": 0}, poll_interval_ms=20
    )
    assert (attached.status, attached.attributes, attached.last_error) == ("completed", {"n": 0}, None)
    batch = await stores.file_batches.create_and_poll(
        store.id,
        files=[{"file_id": file_id, "attributes": {"n": n}} for n, file_id in enumerate(ids[1:], 1)],
        poll_interval_ms=20,
    )
    assert (batch.status, batch.file_counts.completed) == ("completed", 4)
    assert [file.id async for file in stores.files.list(store.id, limit=2, order="asc")] == ids
    assert len([file async for file in stores.file_batches.list_files(batch.id, vector_store_id=store.id)]) == 4
    page = await stores.search(
        store.id,
        query="Which moon?",
        max_num_results=3,
        filters={
            "type": "or",
            "filters": [{"type": "lt", "key": "n", "value": 2}, {"type": "eq", "key": "n", "value": 4}],
        },
        ranking_options={"ranker": "default-2024-11-15", "score_threshold": 0.1},
        rewrite_query=False,
    )
    assert {result.attributes["n"] for result in page.data if result.attributes} == {0, 1, 4}
    assert all(0.1 <= result.score <= 1 and result.content[0].type == "text" for result in page.data)
    content = await stores.files.content(ids[2], vector_store_id=store.id)
    assert [part.text for part in content.data] == ["Moon number 2 of Jupiter."]
    updated = await stores.files.update(ids[2], vector_store_id=store.id, attributes={"n": 22.5})
    assert updated.attributes == {"n": 22.5}
    assert (await stores.update(store.id, name="new")).name == "new"
    assert (await stores.retrieve(store.id)).file_counts.total == 5
    assert [listed.id async for listed in stores.list()] == [store.id]
    assert (await stores.files.delete(ids[0], vector_store_id=store.id)).deleted
    assert (await stores.delete(store.id)).object == "vector_store.deleted"
    with pytest.raises(NotFoundError):
        await stores.retrieve(store.id)


async def test_errors_have_openais_shape(openai: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as missing:
        await openai.vector_stores.create(file_ids=["file-none"])
    assert missing.value.param == "file_ids"
    store = await openai.vector_stores.create()
    with pytest.raises(BadRequestError) as refused:
        await openai.vector_stores.search(store.id, query="q", rewrite_query=True)
    assert refused.value.param == "rewrite_query"
