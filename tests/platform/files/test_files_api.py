"""`/v1/files`, over HTTP."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI, BadRequestError
from perijove_platform.database import now
from perijove_platform.files.store import FileRow

Upload = Callable[..., Awaitable[dict[str, Any]]]
Keys = Callable[[], Awaitable[list[str]]]
BOUNDARY = "b0undary"
# What is decided before any store is asked is the same on every kind of them.
ON_A_LAPTOP = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def form(*parts: tuple[str, bytes], closed: bool = True) -> bytes:
    """A body of parts: their header's parameters, their content."""
    body = b""
    for disposition, content in parts:
        body += f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
    return body + (f"--{BOUNDARY}--\r\n".encode() if closed else b"")


async def send_form(client: httpx.AsyncClient, body: bytes, *, piece: int = 0) -> httpx.Response:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await client.post("/v1/files", content=pieces() if piece else body, headers=headers)


FILE = ('name="file"; filename="a.txt"', b"one\r\n--b0undar\r\ntwo")
PURPOSE = ('name="purpose"', b"user_data")


@ON_A_LAPTOP
@pytest.mark.parametrize("piece", [0, 1, 7, 64])
@pytest.mark.parametrize("parts", [(FILE, PURPOSE), (PURPOSE, FILE)])
async def test_the_form_can_come_in_any_order_and_any_pieces(
    client: httpx.AsyncClient, parts: tuple[tuple[str, bytes], ...], piece: int
) -> None:
    answer = await send_form(client, form(*parts), piece=piece)
    assert answer.status_code == 200, answer.text
    file = answer.json()
    assert (file["bytes"], file["purpose"], file["lines"]) == (len(FILE[1]), "user_data", 3)
    assert file["sha256"] == hashlib.sha256(FILE[1]).hexdigest()
    content = await client.get(f"/v1/files/{file['id']}/content")
    assert content.content == FILE[1]


@ON_A_LAPTOP
@pytest.mark.parametrize(
    ("body", "says", "param"),
    [
        (form(PURPOSE), "no part 'file'", "file"),
        (form(FILE), "purpose", "purpose"),
        (form(FILE, ('name="purpose"', b"fun")), "purpose", "purpose"),
        (form(('name="purpose"', b"fun"), FILE), "purpose", "purpose"),
        (form(FILE, PURPOSE, ('name="color"', b"red")), "Unknown field 'color'", "color"),
        (form(FILE, PURPOSE, FILE), "twice", "file"),
        (form(PURPOSE, FILE, PURPOSE), "twice", "purpose"),
        (form(PURPOSE, ('name="file"', b"content")), "no filename", "file"),
        (form(PURPOSE, ('name="file"; filename="a"', b"")), "empty", "file"),
        (form(PURPOSE, ('name="data"; filename="a"', b"x"), FILE), "Unknown file 'data'", "data"),
        (form(PURPOSE, FILE, closed=False), "ends too early", None),
        (form(FILE, PURPOSE, ('name="expires_after[anchor]"', b"now")), "expires_after", "expires_after.anchor"),
        (
            form(
                FILE,
                PURPOSE,
                ('name="expires_after[anchor]"', b"created_at"),
                ('name="expires_after[seconds]"', b"60"),
            ),
            "3600",
            "expires_after.seconds",
        ),
        (form(PURPOSE, ('name="file"; filename=" "', b"x")), "needs a name", "file"),
        (form(PURPOSE, ('name="file"; filename="' + "n" * 600 + '"', b"x")), "512", "file"),
        (form(FILE, ('name="purpose"', b"x" * 20_000)), "16,384", "purpose"),
        (form(*[(f'name="f{n}"', b"x") for n in range(40)]), "over 32 parts", None),
        (form(('name="purpose"', b"\xff"), FILE), "UTF-8", "purpose"),
        (b"no form at all", "multipart/form-data", None),
        (b"", "ends too early", None),
        (form(FILE, PURPOSE).replace(b"form-data; name", b"attachment; name"), "Content-Disposition", None),
    ],
)
async def test_bad_forms(
    client: httpx.AsyncClient, stored_keys: Keys, body: bytes, says: str, param: str | None
) -> None:
    answer = await send_form(client, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert says in error["message"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert await stored_keys() == []


async def test_a_json_body_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/files", json={"purpose": "batch"})
    assert answer.status_code == 400
    assert "curl -F" in answer.json()["error"]["message"]


async def test_too_large(client: httpx.AsyncClient, stored_keys: Keys) -> None:
    answer = await send_form(client, form(PURPOSE, ('name="file"; filename="a"', os.urandom(3 * 1024 * 1024 + 1))))
    assert answer.status_code == 413
    assert "3,145,728" in answer.json()["error"]["message"]
    assert await stored_keys() == []


NAMES = [
    "plain.txt",
    "with space.jsonl",
    "../../etc/passwd",
    "/absolute/path",
    "a/b\\c",
    "..",
    "emoji 🦊 日本語.md",
    "semi;colon='quoted'.txt",
    "C:\\temp\\x.txt"[3:],
    "100%.csv",
]


@ON_A_LAPTOP
@pytest.mark.parametrize("name", NAMES)
async def test_names_are_data(client: httpx.AsyncClient, upload: Upload, stored_keys: Keys, name: str) -> None:
    file = await upload(name, b"content", purpose="user_data")
    assert file["filename"] == name
    assert (await client.get(f"/v1/files/{file['id']}")).json() == file
    answer = await client.get(f"/v1/files/{file['id']}/content")
    assert answer.content == b"content"
    disposition = answer.headers["content-disposition"]
    assert disposition.isascii()
    assert httpx.URL("/?q=" + disposition.partition("filename*=UTF-8''")[2]).params["q"] == name
    assert answer.headers["x-content-type-options"] == "nosniff"
    [key] = await stored_keys()
    assert key.endswith(file["id"])


async def test_the_openai_client(client: httpx.AsyncClient, app: FastAPI) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    transport = httpx2.ASGITransport(app)
    openai = AsyncOpenAI(
        base_url="http://platform/v1", api_key=key, http_client=httpx2.AsyncClient(transport=transport), max_retries=0
    )
    content = b'{"messages": []}\n' * 3
    file = await openai.files.create(
        file=("train.jsonl", content), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 7200}
    )
    assert file.status == "processed"
    assert file.expires_at == file.created_at + 7200
    assert [found.id async for found in openai.files.list()] == [file.id]
    assert (await openai.files.retrieve(file.id)).filename == "train.jsonl"
    assert (await openai.files.content(file.id)).content == content
    assert (await openai.files.delete(file.id)).deleted
    with pytest.raises(BadRequestError):
        await openai.files.create(file=("a", b""), purpose="fine-tune")


async def test_listing(client: httpx.AsyncClient, upload: Upload) -> None:
    ids = [(await upload(f"{n}.txt", b"x", purpose="user_data" if n % 2 else "evals"))["id"] for n in range(5)]
    whole = (await client.get("/v1/files")).json()
    assert [file["id"] for file in whole["data"]] == ids[::-1]
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == (ids[4], ids[0], False)
    first = (await client.get("/v1/files", params={"limit": 2, "order": "asc"})).json()
    assert ([file["id"] for file in first["data"]], first["has_more"]) == (ids[:2], True)
    rest = (await client.get("/v1/files", params={"after": ids[1], "order": "asc", "limit": 10_000})).json()
    assert [file["id"] for file in rest["data"]] == ids[2:]
    some = (await client.get("/v1/files", params={"purpose": "user_data"})).json()
    assert [file["id"] for file in some["data"]] == [ids[3], ids[1]]
    for bad in ({"limit": 0}, {"limit": 10_001}, {"order": "up"}, {"purpose": "fun"}):
        assert (await client.get("/v1/files", params=bad)).status_code == 400


@ON_A_LAPTOP
@pytest.mark.parametrize(
    ("range_", "expected"),
    [("bytes=0-0", (0, 1)), ("bytes=5-", (5, 100)), ("bytes=-7", (93, 100)), ("bytes=90-900", (90, 100))],
)
async def test_ranges(client: httpx.AsyncClient, upload: Upload, range_: str, expected: tuple[int, int]) -> None:
    data = os.urandom(100)
    file = await upload("a.bin", data, purpose="user_data")
    answer = await client.get(f"/v1/files/{file['id']}/content", headers={"Range": range_})
    start, stop = expected
    assert answer.status_code == 206
    assert answer.content == data[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/100"
    assert answer.headers["content-length"] == str(stop - start)


async def test_ranges_that_do_not_apply(client: httpx.AsyncClient, upload: Upload) -> None:
    file = await upload("a.bin", b"x" * 100, purpose="user_data")
    url = f"/v1/files/{file['id']}/content"
    for header in ("bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=9-3"):
        assert (await client.get(url, headers={"Range": header})).status_code == 200
    beyond = await client.get(url, headers={"Range": "bytes=100-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == "bytes */100"
    tag = (await client.get(url)).headers["etag"]
    assert (await client.get(url, headers={"Range": "bytes=1-2", "If-Range": tag})).status_code == 206
    assert (await client.get(url, headers={"Range": "bytes=1-2", "If-Range": '"other"'})).status_code == 200


async def test_deleting(client: httpx.AsyncClient, upload: Upload, stored_keys: Keys) -> None:
    file = await upload("a.txt", b"x", purpose="evals")
    answer = await client.delete(f"/v1/files/{file['id']}")
    assert answer.json() == {"id": file["id"], "object": "file", "deleted": True}
    assert await stored_keys() == []
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/content"), ("GET", "/preview"), ("GET", "/validation")]:
        gone = await client.request(method, f"/v1/files/{file['id']}{path}")
        assert gone.status_code == 404
        assert file["id"] in gone.json()["error"]["message"]


async def test_expiry(client: httpx.AsyncClient, app: FastAPI, upload: Upload, stored_keys: Keys) -> None:
    batch = await upload("b.jsonl", b"{}", purpose="batch")
    assert batch["expires_at"] == batch["created_at"] + 30 * 24 * 3600
    async with app.state.database.write() as session:
        row = await session.get(FileRow, batch["id"])
        row.expires_at = now() - 1
    assert (await client.get(f"/v1/files/{batch['id']}")).status_code == 404
    app.state.files.expiry_changed.set()
    async with asyncio.timeout(60):
        while await stored_keys():
            await asyncio.sleep(0.02)
    async with app.state.database.read() as session:
        assert await session.get(FileRow, batch["id"]) is None


async def test_preview(client: httpx.AsyncClient, upload: Upload) -> None:
    lines = [f"line {n}" for n in range(1, 501)]
    lines[2] = "x" * 100_000
    file = await upload("a.txt", b"\xef\xbb\xbf" + "\r\n".join(lines).encode(), purpose="user_data")
    url = f"/v1/files/{file['id']}/preview"
    first = (await client.get(url, params={"limit": 4})).json()
    assert [(line["number"], line["text"][:10], line["truncated"]) for line in first["lines"]] == [
        (1, "line 1", False),
        (2, "line 2", False),
        (3, "x" * 10, True),
        (4, "line 4", False),
    ]
    assert (first["total_lines"], first["has_more"], first["binary"]) == (500, True, False)
    last = (await client.get(url, params={"offset": 498})).json()
    assert [line["text"] for line in last["lines"]] == ["line 499", "line 500"]
    assert not last["has_more"]
    assert (await client.get(url, params={"offset": 500})).json()["lines"] == []
    image = await upload("a.png", b"\x89PNG\0\0", purpose="vision")
    assert (await client.get(f"/v1/files/{image['id']}/preview")).json()["binary"] is True
    assert (await client.get(url, params={"limit": 1001})).status_code == 400


async def test_events(app: FastAPI, client: httpx.AsyncClient, upload: Upload) -> None:
    seen = []

    async def listen() -> None:
        async for event in app.state.events.subscribe(project_id=None, last_id=0):
            seen.append((event.type, event.object_id, event.data["filename"]))
            if len(seen) == 2:
                return

    listening = asyncio.create_task(listen())
    file = await upload("a.txt", b"x", purpose="evals")
    await client.delete(f"/v1/files/{file['id']}")
    await asyncio.wait_for(listening, 60)
    assert seen == [("file.created", file["id"], "a.txt"), ("file.deleted", file["id"], "a.txt")]


async def test_no_route_without_a_key(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://platform") as anonymous:
        for method, path in [("POST", ""), ("GET", ""), ("GET", "/x"), ("DELETE", "/x"), ("GET", "/x/content")]:
            assert (await anonymous.request(method, f"/v1/files{path}")).status_code == 401
