"""A real S3 server: rclone's."""

import secrets
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from perijove_platform.objects.s3 import S3Store
from pydantic import SecretStr

START_SECONDS = 30


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
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("s3")
    server = S3Server(f"http://127.0.0.1:{port}", "access", secrets.token_hex(16))
    rclone = Path(sysconfig.get_path("scripts"), "rclone")
    auth = f"{server.access_key},{server.secret_key}"
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", auth, folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=10)
