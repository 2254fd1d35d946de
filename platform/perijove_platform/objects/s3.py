"""Objects in an S3 bucket, by boto3 in threads."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from perijove_platform.errors import ApiError, OutOfStorage, TooLarge, Unavailable
from perijove_platform.objects.base import (
    READ_BYTES,
    Chunk,
    Digest,
    Found,
    ObjectMissing,
    Stored,
    batches,
    check_key,
    check_prefix,
    in_thread,
    out_of_storage,
)

PART_BYTES = 8 * 1024 * 1024
MAX_PARTS = 10_000
"""Both by S3's limits: parts of at least 5 MiB, at most 10,000 of them."""
_ABANDONED_SECONDS = 24 * 3600
_DELETE_ROWS = 1000
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"})
T = TypeVar("T")


class S3Store:
    """Keys lie below `prefix` of `bucket`.

    Args:
        endpoint: address of a server that speaks S3; ``None`` for AWS.
        access_key: with `secret_key`; without them, boto3's own sources (environment, role) are used.
        scratch: folder for `local_path`'s temporary files.
        public_endpoint: the server's address in signed URLs, where whoever gets them reaches it by another one.
    """

    # Another replica may be between writing an object and its row: only what is older is abandoned.
    settle_seconds = 3600.0

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str = "",
        endpoint: str | None = None,
        region: str = "us-east-1",
        access_key: SecretStr | None = None,
        secret_key: SecretStr | None = None,
        scratch: Path,
        public_endpoint: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._region = region
        self._access_key = access_key
        self._secret_key = secret_key
        self._scratch = scratch
        self._public_endpoint = public_endpoint or endpoint
        self._connected: Any = None
        self._signing: Any = None

    async def start(self) -> None:
        await asyncio.to_thread(self._begin)

    def _make_client(self, endpoint: str | None) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=self._region,
            aws_access_key_id=self._access_key.get_secret_value() if self._access_key else None,
            aws_secret_access_key=self._secret_key.get_secret_value() if self._secret_key else None,
            config=Config(
                connect_timeout=10,
                read_timeout=60,
                retries={"max_attempts": 4, "mode": "standard"},
                max_pool_connections=16,
                signature_version="s3v4",
                s3={"addressing_style": "path"} if endpoint else {},
                # Servers other than AWS's often lack the newer checksums; TLS and our sha256 guard the content.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def _begin(self) -> None:
        from botocore.exceptions import ClientError

        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._connected = self._make_client(self._endpoint)
        same = self._public_endpoint == self._endpoint
        self._signing = self._connected if same else self._make_client(self._public_endpoint)
        with self._errors(self._bucket):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if isinstance(_translated(error.response, ""), ObjectMissing):
                    message = f"The bucket '{self._bucket}' does not exist. Create it, or correct PERIJOVE_OBJECTS_URL."
                    raise Unavailable(message) from error
                raise
        # Housekeeping: some servers answer 404 until there has been an upload, and not every key may list them.
        with contextlib.suppress(ApiError, ObjectMissing), self._errors(self._bucket):
            self._abort_abandoned()

    @property
    def _client(self) -> Any:
        if self._connected is None:
            raise Unavailable("The object store has not been started yet. Try again in a moment.")
        return self._connected

    def _abort_abandoned(self) -> None:
        oldest = time.time() - _ABANDONED_SECONDS
        for page in self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        ):
            for upload in page.get("Uploads", []):
                if upload["Initiated"].timestamp() < oldest:
                    self._abort(upload["Key"], upload["UploadId"])

    async def stop(self) -> None:
        if self._connected is not None:
            await asyncio.to_thread(self._connected.close)
            self._connected = self._signing = None

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Botocore's errors as ours. Entered in the thread that calls."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise _translated(error.response, key) from error
        except BotoCoreError as error:
            message = f"The object store cannot be reached ({type(error).__name__}). Try again in a moment."
            raise Unavailable(message) from error

    async def _call(self, key: str, function: Callable[[], T]) -> T:
        def call() -> T:
            with self._errors(key):
                return function()

        return await in_thread(call)

    async def put(self, key: str, chunks: AsyncIterable[Chunk], *, md5: bool = False) -> Stored:
        writer = _Writer(self, self._name(key), Digest(md5=md5))
        try:
            async for batch in batches(chunks, PART_BYTES):
                await writer.add(batch)
            return await writer.finish()
        except BaseException:
            await writer.abort()
            raise

    def _abort(self, name: str, upload_id: str) -> None:
        # A server that cannot be reached now keeps the parts; `start` removes them a day later.
        with contextlib.suppress(ApiError, ObjectMissing), self._errors(name):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload_id)

    async def get(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        name = self._name(key)
        if stop is not None and stop <= start:
            await self.size(key)
            return
        if start >= await self.size(key):
            return
        range_ = f"bytes={start}-{'' if stop is None else stop - 1}"
        found = await self._call(
            key, lambda: self._client.get_object(Bucket=self._bucket, Key=name, Range=range_)["Body"]
        )
        try:
            while data := await self._call(key, lambda: found.read(READ_BYTES)):
                yield data
        finally:
            found.close()

    async def size(self, key: str) -> int:
        name = self._name(key)
        head = await self._call(key, lambda: self._client.head_object(Bucket=self._bucket, Key=name))
        return int(head["ContentLength"])

    async def delete(self, key: str) -> None:
        name = self._name(key)
        with contextlib.suppress(ObjectMissing):
            await self._call(key, lambda: self._client.delete_object(Bucket=self._bucket, Key=name))

    async def delete_prefix(self, prefix: str) -> None:
        keys: list[str] = []
        async for found in self.list(prefix):
            keys.append(found.key)
            if len(keys) == _DELETE_ROWS:
                await self._delete_many(keys)
                keys = []
        if keys:
            await self._delete_many(keys)

    async def _delete_many(self, keys: Sequence[str]) -> None:
        objects = [{"Key": self._name(key)} for key in keys]
        await self._call(
            keys[0],
            lambda: self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}),
        )

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + check_prefix(prefix)}
        while True:
            page = await self._call(prefix, lambda: self._client.list_objects_v2(**arguments))
            for row in page.get("Contents", []):
                key = row["Key"].removeprefix(self._prefix)
                yield Found(key, row["Size"], row["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    async def concatenate(self, key: str, parts: Sequence[str], *, md5: bool = False) -> Stored:
        # Streamed through here rather than by UploadPartCopy, which refuses parts below 5 MiB and gives no sha256.
        return await self.put(key, self._joined(parts), md5=md5)

    async def _joined(self, parts: Sequence[str]) -> AsyncIterator[Chunk]:
        for part in parts:
            async for chunk in self.get(part):
                yield chunk

    @asynccontextmanager
    async def local_path(self, key: str) -> AsyncIterator[Path]:
        file = await asyncio.to_thread(_temporary, self._scratch)
        try:
            async for chunk in self.get(key):
                await in_thread(_write, file, chunk)
            await in_thread(file.flush)
            yield Path(file.name)
        except OSError as error:
            full = out_of_storage(error, "a local copy of the object")
            if full is not None:
                raise full from error
            raise
        finally:
            await in_thread(file.close)

    async def signed_get(self, key: str, seconds: int) -> str:
        return await self._signed("get_object", key, seconds)

    async def signed_put(self, key: str, seconds: int) -> str:
        return await self._signed("put_object", key, seconds)

    async def _signed(self, operation: str, key: str, seconds: int) -> str:
        """Made without a request, but credentials may have to be renewed for it."""
        name = self._name(key)
        if self._signing is None:
            raise Unavailable("The object store has not been started yet. Try again in a moment.")

        def sign() -> str:
            parameters = {"Bucket": self._bucket, "Key": name}
            return str(self._signing.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds))

        return await self._call(key, sign)

    async def free_bytes(self) -> int | None:
        return None


class _Writer:
    """One object being written: whole if it is small, else in parts; one travels while the next is collected."""

    def __init__(self, store: S3Store, name: str, digest: Digest) -> None:
        self._store = store
        self._name = name
        self._digest = digest
        self._held: list[Chunk] | None = None
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def _target(self) -> dict[str, Any]:
        return {"Bucket": self._store._bucket, "Key": self._name}

    async def add(self, batch: list[Chunk]) -> None:
        if self._held is not None:
            await self._send_part(self._held)
        self._held = batch

    async def _send_part(self, batch: list[Chunk]) -> None:
        if self._upload_id is None:
            made = await self._store._call(
                self._name, lambda: self._store._client.create_multipart_upload(**self._target)
            )
            self._upload_id = made["UploadId"]
        await self._settle()
        self._sending = asyncio.create_task(self._part(batch, len(self._parts) + 1))

    async def _settle(self) -> None:
        if self._sending is not None:
            await asyncio.shield(self._sending)

    async def _part(self, batch: list[Chunk], number: int) -> None:
        if number > MAX_PARTS:
            raise TooLarge(f"An object has at most {MAX_PARTS * PART_BYTES} bytes. Split the file.")

        def send() -> str:
            self._digest.update(batch)
            answer = self._store._client.upload_part(
                **self._target, UploadId=self._upload_id, PartNumber=number, Body=b"".join(batch)
            )
            return str(answer["ETag"])

        etag = await self._store._call(self._name, send)
        self._parts.append({"ETag": etag, "PartNumber": number})

    async def finish(self) -> Stored:
        last = self._held or []
        if self._upload_id is None:
            await self._store._call(self._name, lambda: self._put_whole(last))
            return self._digest.stored()
        await self._send_part(last)
        await self._settle()
        await self._store._call(
            self._name,
            lambda: self._store._client.complete_multipart_upload(
                **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
            ),
        )
        return self._digest.stored()

    def _put_whole(self, batch: list[Chunk]) -> None:
        self._digest.update(batch)
        self._store._client.put_object(**self._target, Body=b"".join(batch))

    async def abort(self) -> None:
        if self._sending is not None:
            await asyncio.wait([self._sending])
            if not self._sending.cancelled():
                self._sending.exception()
        if self._upload_id is not None:
            await in_thread(self._store._abort, self._name, self._upload_id)


def _temporary(folder: Path) -> tempfile._TemporaryFileWrapper[bytes]:
    return tempfile.NamedTemporaryFile(dir=folder, prefix="object-")


def _write(file: tempfile._TemporaryFileWrapper[bytes], chunk: bytes) -> None:
    file.write(chunk)


def _translated(response: Any, key: str) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _MISSING or status == 404:
        return ObjectMissing(key)
    if code in _FULL or status == 507:
        return OutOfStorage("The object store has no room left. Delete files, or raise its quota, and send it again.")
    if status in (401, 403):
        return Unavailable(
            f"The object store refuses this platform's credentials ({code}). Its operator must check them."
        )
    return Unavailable(f"The object store failed ({code or status}). Try again in a moment.")
