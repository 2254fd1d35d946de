"""`/v1/uploads`, over HTTP."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform.database import now
from perijove_platform.files.store import UploadRow

Keys = Callable[[], Awaitable[list[str]]]


async def create(client: httpx.AsyncClient, size: int, **changes: object) -> dict[str, Any]:
    body = {"filename": "big.jsonl", "purpose": "user_data", "bytes": size, "mime_type": "application/jsonl", **changes}
    answer = await client.post("/v1/uploads", json=body)
    assert answer.status_code == 200, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


async def send_part(client: httpx.AsyncClient, upload_id: str, data: bytes, **fields: object) -> dict[str, Any]:
    answer = await client.post(
        f"/v1/uploads/{upload_id}/parts", files={"data": ("part", data)}, data={k: str(v) for k, v in fields.items()}
    )
    assert answer.status_code == 200, answer.text
    part: dict[str, Any] = answer.json()
    return part


async def complete(client: httpx.AsyncClient, upload_id: str, part_ids: list[str], **more: str) -> httpx.Response:
    return await client.post(f"/v1/uploads/{upload_id}/complete", json={"part_ids": part_ids, **more})


async def test_parts_in_parallel_become_the_file(client: httpx.AsyncClient, stored_keys: Keys) -> None:
    pieces = [os.urandom(size) for size in (700_000, 1, 1024 * 1024)]
    whole = b"".join(pieces)
    upload = await create(client, len(whole), expires_after={"anchor": "created_at", "seconds": 3600})
    assert (upload["object"], upload["status"], upload["file"]) == ("upload", "pending", None)
    assert upload["expires_at"] == upload["created_at"] + 3600
    parts = await asyncio.gather(*[send_part(client, upload["id"], piece) for piece in reversed(pieces)])
    ids = [part["id"] for part in reversed(parts)]
    answer = await complete(client, upload["id"], ids, md5=hashlib.md5(whole).hexdigest().upper())
    assert answer.status_code == 200, answer.text
    done = answer.json()
    file = done["file"]
    assert done["status"] == "completed"
    assert (file["filename"], file["bytes"], file["purpose"]) == ("big.jsonl", len(whole), "user_data")
    assert file["expires_at"] == file["created_at"] + 3600
    assert file["sha256"] == hashlib.sha256(whole).hexdigest()
    assert (await client.get(f"/v1/files/{file['id']}/content")).content == whole
    assert (await client.get(f"/v1/uploads/{upload['id']}")).json()["file"] == file
    assert [key.split("/")[0] for key in await stored_keys()] == ["files"]


async def test_resuming(client: httpx.AsyncClient) -> None:
    upload = await create(client, 30)
    await send_part(client, upload["id"], b"a" * 10, offset=0)
    await send_part(client, upload["id"], b"c" * 10, offset=20)
    received = (await client.get(f"/v1/uploads/{upload['id']}")).json()["parts"]
    assert [(part["offset"], part["bytes"]) for part in received] == [(0, 10), (20, 10)]
    assert received[0]["sha256"] == hashlib.sha256(b"a" * 10).hexdigest()
    middle = await send_part(client, upload["id"], b"b" * 10, offset=10)
    answer = await complete(client, upload["id"], [received[0]["id"], middle["id"], received[1]["id"]])
    content = await client.get(f"/v1/files/{answer.json()['file']['id']}/content")
    assert content.content == b"a" * 10 + b"b" * 10 + b"c" * 10


async def test_what_cannot_be_completed_can_still_be(client: httpx.AsyncClient, stored_keys: Keys) -> None:
    upload = await create(client, 4)
    first, second = [(await send_part(client, upload["id"], data))["id"] for data in (b"ab", b"cd")]
    for part_ids, md5, code in [
        ([first], None, "size_mismatch"),
        ([first, first], None, None),
        ([first, "part_x"], None, "part_not_found"),
        ([second, first], hashlib.md5(b"abcd").hexdigest(), "md5_mismatch"),
        ([], None, "invalid_value"),
    ]:
        answer = await complete(client, upload["id"], part_ids, **({"md5": md5} if md5 else {}))
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == code
    assert [key.split("/")[0] for key in await stored_keys()] == ["uploads", "uploads"]
    done, again = await asyncio.gather(*[complete(client, upload["id"], [first, second]) for _ in range(2)])
    assert sorted([done.status_code, again.status_code])[0] == 200
    assert sorted([done.status_code, again.status_code])[1] in (400, 409)
    assert len((await client.get("/v1/files")).json()["data"]) == 1


async def test_cancelling(client: httpx.AsyncClient, stored_keys: Keys) -> None:
    upload = await create(client, 4)
    part = await send_part(client, upload["id"], b"abcd")
    cancelled = await client.post(f"/v1/uploads/{upload['id']}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    assert await stored_keys() == []
    for answer in [
        await complete(client, upload["id"], [part["id"]]),
        await client.post(f"/v1/uploads/{upload['id']}/cancel"),
        await client.post(f"/v1/uploads/{upload['id']}/parts", files={"data": b"x"}),
    ]:
        assert answer.status_code == 400
        assert "is cancelled" in answer.json()["error"]["message"]


async def test_expiry(client: httpx.AsyncClient, app: FastAPI, stored_keys: Keys) -> None:
    upload = await create(client, 4)
    await send_part(client, upload["id"], b"ab")
    async with app.state.database.write() as session:
        row = await session.get(UploadRow, upload["id"])
        row.expires_at = now() - 1
    late = await client.post(f"/v1/uploads/{upload['id']}/parts", files={"data": b"cd"})
    assert late.status_code == 400
    assert "is expired" in late.json()["error"]["message"]
    await app.state.housekeeper.expire()
    assert await stored_keys() == []
    assert (await client.get(f"/v1/uploads/{upload['id']}")).json()["status"] == "expired"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"bytes": 0}, 400),
        ({"bytes": 4 * 1024 * 1024}, 413),
        ({"purpose": "fine-tune-results"}, 400),
        ({"filename": ""}, 400),
        ({"mime_type": "a\nb"}, 400),
        ({"colour": 1}, 400),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, 400),
    ],
)
async def test_bad_uploads(client: httpx.AsyncClient, changes: dict[str, Any], status: int) -> None:
    body = {"filename": "a", "purpose": "batch", "bytes": 5, "mime_type": "text/plain", **changes}
    answer = await client.post("/v1/uploads", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_an_empty_file_is_refused_with_advice(client: httpx.AsyncClient) -> None:
    body = {"filename": "a", "purpose": "batch", "bytes": 0, "mime_type": "text/plain"}
    error = (await client.post("/v1/uploads", json=body)).json()["error"]
    assert error["param"] == "bytes"
    assert "empty file (0 bytes)" in error["message"] and "check that it was written" in error["message"]


async def test_bad_parts(client: httpx.AsyncClient, stored_keys: Keys) -> None:
    upload = await create(client, 5)
    url = f"/v1/uploads/{upload['id']}/parts"
    assert (await client.post(url, files={"data": b""})).status_code == 400
    assert (await client.post(url, files={"file": b"x"})).status_code == 400
    assert (await client.post(url, files={"data": b"x"}, data={"offset": "-1"})).status_code == 400
    assert (await client.post(url, files={"data": os.urandom(1024 * 1024 + 1)})).status_code == 413
    assert (await client.post("/v1/uploads/upload_x/parts", files={"data": b"x"})).status_code == 404
    assert await stored_keys() == []
    await send_part(client, upload["id"], b"x" * 1024 * 1024)
    endless = await client.post(url, files={"data": b"x" * 100})
    assert endless.status_code == 400
    assert "cancel it" in endless.json()["error"]["message"]
    assert len(await stored_keys()) == 1


async def test_what_cannot_fit_is_refused_before_it_is_sent(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nearly_full() -> int:
        return 16 * 1024 * 1024 + 1000

    monkeypatch.setattr(app.state.objects, "free_bytes", nearly_full)
    body = {"filename": "a", "purpose": "batch", "bytes": 1001, "mime_type": "text/plain"}
    announced = await client.post("/v1/uploads", json=body)
    sent = await client.post("/v1/files", files={"file": ("a", b"x" * 2000)}, data={"purpose": "batch"})
    for answer in (announced, sent):
        assert answer.status_code == 507
        assert "1,000 are free" in answer.json()["error"]["message"]
    assert (await client.post("/v1/uploads", json={**body, "bytes": 999})).status_code == 200
