"""Signed addresses: of the folder by the platform's own routes, of S3 by the server."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform import errors
from perijove_platform.errors import Unavailable
from perijove_platform.objects import ObjectMissing, ObjectStore, routes
from perijove_platform.objects.folder import FolderStore
from perijove_platform.objects.s3 import S3Store
from perijove_platform.objects.signing import UrlSigner
from perijove_platform.request_id import RequestIdMiddleware
from perijove_platform.settings import Settings
from s3_server import S3Server
from starlette.types import Message

MIB = 1024 * 1024


async def chunks_of(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def content(objects: ObjectStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in objects.get(key)])


def served(store: ObjectStore, tmp_path: Path, max_file_bytes: int = 8 * MIB) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.add_middleware(RequestIdMiddleware)
    app.include_router(routes.router)
    app.state.objects = store
    app.state.settings = Settings(data_dir=tmp_path / "data", max_file_bytes=max_file_bytes)
    return app


@pytest.fixture
async def folder(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "objects", UrlSigner(tmp_path / "key", "http://platform/base/"))
    await store.start()
    return store


@pytest.fixture
async def client(folder: FolderStore, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(served(folder, tmp_path), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://platform") as client:
        yield client


def local(url: str) -> str:
    assert url.startswith("http://platform/base/v1/objects/")
    return url.replace("/base/", "/")


async def test_a_folder_s_object_is_written_and_read_by_signed_addresses(
    folder: FolderStore, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    data = os.urandom(5 * MIB + 3)
    put, get = await folder.signed_put("jobs/p/one.tar", 60), await folder.signed_get("jobs/p/one.tar", 60)
    assert (await client.get(local(get))).status_code == 404
    assert (await client.put(local(put), content=data)).status_code == 204
    assert (await client.get(local(get))).content == data
    part = await client.get(local(get), headers={"Range": f"bytes={5 * MIB}-"})
    assert (part.status_code, part.content) == (206, data[5 * MIB :])
    assert part.headers["content-range"] == f"bytes {5 * MIB}-{5 * MIB + 2}/{len(data)}"
    beyond = await client.get(local(get), headers={"Range": f"bytes={6 * MIB}-"})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "range_not_satisfiable")
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not any("signature" in message for message in ours)


async def test_an_address_is_for_one_method_and_one_object_and_some_time(
    folder: FolderStore, client: httpx.AsyncClient
) -> None:
    await folder.put("a/one", chunks_of(b"1"))
    await folder.put("a/two", chunks_of(b"2"))
    get = local(await folder.signed_get("a/one", 60))
    assert (await client.put(get, content=b"x")).json()["error"]["code"] == "invalid_signature"
    other = get.replace("a/one", "a/two")
    assert (await client.get(other)).json()["error"]["code"] == "invalid_signature"
    later = get.replace("expires=", "expires=1")
    assert (await client.get(later)).json()["error"]["code"] == "invalid_signature"
    expired = await client.get(local(await folder.signed_get("a/one", -1)))
    assert (expired.status_code, expired.json()["error"]["code"]) == (403, "url_expired")
    for bad in ("", "?expires=1", "?expires=x&signature=y", f"?expires={int(time.time()) + 9}&signature=%ff%00"):
        answer = await client.get(f"/v1/objects/a/one{bad}")
        assert answer.status_code in (400, 403) and answer.json()["error"]["message"]
    assert await content(folder, "a/one") == b"1"


async def test_addresses_outlive_a_restart_and_not_another_platform(folder: FolderStore, tmp_path: Path) -> None:
    address = await folder.signed_get("a/b", 60)
    query = dict(pair.split("=") for pair in address.partition("?")[2].split("&"))
    signed = ("GET", "a/b", int(query["expires"]), query["signature"])
    UrlSigner(tmp_path / "key", None).verify(*signed)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.Forbidden):
        UrlSigner(tmp_path / "other", None).verify(*signed)
    with pytest.raises(Unavailable, match="PERIJOVE_PUBLIC_URL"):
        await FolderStore(tmp_path / "x").signed_get("a/b", 60)


async def test_what_is_too_large_or_cut_is_not_stored(folder: FolderStore, tmp_path: Path) -> None:
    app = served(folder, tmp_path, max_file_bytes=10)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://platform") as client:
        url = local(await folder.signed_put("a/b", 60))
        assert (await client.put(url, content=b"x" * 11)).status_code == 413

        async def unannounced() -> AsyncIterator[bytes]:
            yield b"x"

        assert (await client.put(url, content=unannounced())).json()["error"]["code"] == "length_required"
        short = await client.put(url, content=b"x", headers={"Content-Length": "5"})
        assert short.status_code == 400
        long = await client.put(url, content=b"x" * 9, headers={"Content-Length": "5"})
        assert long.status_code == 400
    await cut_off(app, url)
    with pytest.raises(ObjectMissing):
        await folder.size("a/b")
    assert not list((tmp_path / "objects" / ".unfinished").iterdir())


async def cut_off(app: FastAPI, url: str) -> None:
    """A sender that goes away in the middle."""
    path, _, query = url.removeprefix("http://platform").partition("?")
    messages: list[Message] = [
        {"type": "http.request", "body": b"xx", "more_body": True},
        {"type": "http.disconnect"},
    ]
    answers: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Message) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"content-length", b"5")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("platform", 80),
        "client": ("test", 1),
        "root_path": "",
    }
    await app(scope, receive, send)
    assert answers[0]["status"] == 400


async def test_s3_answers_what_was_signed(s3: S3Server, tmp_path: Path) -> None:
    store = s3.store(s3.bucket(), tmp_path / "scratch")
    await store.start()
    data = os.urandom(3 * MIB)
    async with httpx.AsyncClient() as client:
        put = await client.put(await store.signed_put("a/b", 60), content=data)
        assert put.status_code == 200, put.text
        assert await content(store, "a/b") == data
        get = await store.signed_get("a/b", 60)
        assert (await client.get(get)).content == data
        part = await client.get(get, headers={"Range": "bytes=5-9"})
        # rclone answers a range under status 200, so this header is what tells.
        assert part.headers["content-range"] == f"bytes 5-9/{len(data)}" and part.content == data[5:10]
        assert (await client.put(get, content=b"x")).status_code == 403
        brief = await store.signed_get("a/b", 1)
        async with asyncio.timeout(60):
            while (await client.get(brief)).status_code == 200:
                await asyncio.sleep(0.2)
        assert (await client.get(brief)).status_code in (400, 403)
    await store.stop()


async def test_s3_can_be_reached_by_another_address_from_pods(s3: S3Server, tmp_path: Path) -> None:
    store = S3Store(
        bucket=s3.bucket(),
        endpoint=s3.endpoint,
        access_key=s3.store("x", tmp_path)._access_key,
        secret_key=s3.store("x", tmp_path)._secret_key,
        scratch=tmp_path,
        public_endpoint=s3.endpoint.replace("127.0.0.1", "localhost"),
    )
    await store.start()
    await store.put("a/b", chunks_of(b"x"))
    url = await store.signed_get("a/b", 60)
    assert url.startswith("http://localhost:")
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"x"
    await store.stop()


async def test_with_s3_the_platform_s_own_routes_serve_nothing(s3: S3Server, tmp_path: Path) -> None:
    app = served(s3.store(s3.bucket(), tmp_path), tmp_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://platform") as client:
        answer = await client.get("/v1/objects/a/b?expires=1&signature=x")
    assert answer.status_code == 404
