"""A real S3 server: rclone's."""

import re
import secrets
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from perijove_platform.objects.s3 import S3Store
from pydantic import SecretStr

START_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """A running S3 server."""

    endpoint: str
    access_key: str
    secret_key: str

    def bucket(self) -> str:
        name = f"bucket-{secrets.token_hex(4)}"
        boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        ).create_bucket(Bucket=name)
        return name

    def store(self, bucket: str, scratch: Path) -> S3Store:
        return S3Store(
            bucket=bucket,
            prefix="perijove",
            endpoint=self.endpoint,
            access_key=SecretStr(self.access_key),
            secret_key=SecretStr(self.secret_key),
            scratch=scratch,
        )


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, kept for the session."""
    folder = tmp_path_factory.mktemp("s3")
    log = tmp_path_factory.mktemp("s3-log") / "rclone.log"
    access_key, secret_key = "access", secrets.token_hex(16)
    rclone = Path(sysconfig.get_path("scripts"), "rclone")
    command = [rclone, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{access_key},{secret_key}", folder]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield S3Server(_endpoint(process, log), access_key, secret_key)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _endpoint(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that rclone has chosen; it is logged once it listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"rclone did not start:\n{log.read_text()}")
