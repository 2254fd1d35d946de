"""What is left of an upload when the platform is killed in it, and when the disk is full."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from perijove_platform.discovery import NotRunning, read_record

MIB = 1024 * 1024
START_SECONDS = 60


@contextmanager
def _process(data_dir: Path, *, largest_file: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    command = [sys.executable, "-m", "perijove_platform", "serve", "--data-dir", str(data_dir), "--port", "0"]
    environment = {**os.environ, "PERIJOVE_INSTALL_DEFAULT_MODELS": "false"}
    data_dir.mkdir(exist_ok=True)
    with (data_dir.parent / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=limit
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


@asynccontextmanager
async def serving(
    data_dir: Path, *, largest_file: int | None = None
) -> AsyncIterator[tuple[subprocess.Popen[bytes], httpx.AsyncClient]]:
    with _process(data_dir, largest_file=largest_file) as process:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    found = read_record(data_dir)
                    if found.pid == process.pid:
                        break
                except NotRunning:
                    pass
                assert process.poll() is None, (data_dir.parent / "serve.log").read_text()
                await asyncio.sleep(0.05)
        headers = {"Authorization": f"Bearer {found.api_key}"}
        async with httpx.AsyncClient(base_url=found.base_url, headers=headers, timeout=60) as client:
            yield process, client


async def send(client: httpx.AsyncClient, content: bytes, name: str = "a.txt") -> httpx.Response:
    return await client.post("/v1/files", files={"file": (name, content)}, data={"purpose": "user_data"})


def stored(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "objects").rglob("*") if path.is_file()]


async def test_a_platform_killed_in_an_upload(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with serving(data_dir) as (process, client):
        kept = (await send(client, b"acknowledged")).json()
        upload = await client.post(
            "/v1/uploads", json={"filename": "b", "purpose": "batch", "bytes": 8, "mime_type": "text/plain"}
        )
        upload_url = f"/v1/uploads/{upload.json()['id']}"
        part = (await client.post(f"{upload_url}/parts", files={"data": b"abcd"})).json()
        killed = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="half"\r\n\r\n'
            for _ in range(16):
                yield os.urandom(MIB)
            while not [path for path in stored(data_dir) if path.stat().st_size >= 8 * MIB]:
                await asyncio.sleep(0.02)
                yield b"x"
            process.kill()
            killed.set()
            while True:
                yield b"x" * MIB

        half = {"Content-Type": "multipart/form-data; boundary=b", "Idempotency-Key": "half"}
        try:
            await client.post("/v1/files", content=body(), headers=half)
        except httpx.TransportError:
            assert killed.is_set()
        assert killed.is_set()
        process.wait(timeout=30)
    # An object whose row was never written, as a crash between the two leaves it.
    orphan = next(path for path in stored(data_dir) if path.name == kept["id"]).with_name("file-orphan")
    orphan.write_bytes(b"orphan")
    assert len(stored(data_dir)) == 4

    async with serving(data_dir) as (_, client):
        assert sorted(path.name for path in stored(data_dir)) == sorted([kept["id"], part["id"]])
        assert [file["id"] for file in (await client.get("/v1/files")).json()["data"]] == [kept["id"]]
        assert (await client.get(f"/v1/files/{kept['id']}/content")).content == b"acknowledged"
        more = (await client.post(f"{upload_url}/parts", files={"data": b"efgh"})).json()
        done = await client.post(f"{upload_url}/complete", json={"part_ids": [part["id"], more["id"]]})
        assert (await client.get(f"/v1/files/{done.json()['file']['id']}/content")).content == b"abcdefgh"


async def test_a_disk_that_is_full(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with serving(data_dir, largest_file=8 * MIB) as (_, client):
        full = await send(client, os.urandom(16 * MIB))
        assert full.status_code == 507
        error = full.json()["error"]
        assert error["code"] == "out_of_storage"
        assert "Free some space" in error["message"]
        assert stored(data_dir) == []
        assert (await client.get("/v1/files")).json()["data"] == []
        assert (await send(client, b"fits")).status_code == 200
