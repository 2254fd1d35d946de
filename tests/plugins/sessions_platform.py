"""A platform in a process of its own, with what the tests of sessions ask of it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from perijove_platform.discovery import NotRunning, read_record

T = TypeVar("T")
START_SECONDS = 60


@dataclass
class Certificate:
    """A self-signed certificate of 127.0.0.1."""

    file: Path
    key: Path


@dataclass
class RunningPlatform:
    """A platform in a process of its own."""

    base_url: str
    key: str
    data_dir: Path
    process: "subprocess.Popen[bytes]"
    certificate: Path | None = None

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {self.key}"},
            verify=str(self.certificate) if self.certificate else True,
            timeout=60,
        )

    def async_client(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {token}"},
            verify=str(self.certificate) if self.certificate else True,
            timeout=60,
        )

    def call(self, method: str, path: str, **request: Any) -> Any:
        with self.client() as client:
            answer = client.request(method, path, **request)
        assert answer.is_success, answer.text
        return answer.json()

    def session_token(self, cluster: str | None = None) -> str:
        return str(self.call("POST", "/v1/sessions/tokens", json={"cluster": cluster})["token"])

    def register(self, name: str) -> "Registered":
        """A cluster and the credential of its agent, as an agent gets it."""
        made = self.call("POST", "/v1/clusters", json={"name": name})
        with self.client() as client:
            header = {"Authorization": f"Bearer {made['registration_token']['token']}"}
            answer = client.post("/v1/agent/registration", headers=header)
        assert answer.status_code == 201, answer.text
        return Registered(id=made["id"], name=name, credential=answer.json()["credential"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


@dataclass(frozen=True)
class Registered:
    id: str
    name: str
    credential: str


@contextmanager
def running_platform(
    data_dir: Path, *, certificate: Certificate | None = None, port: int = 0, **environment: str
) -> Iterator[RunningPlatform]:
    data_dir.mkdir(parents=True, exist_ok=True)
    given = {"PERIJOVE_INSTALL_DEFAULT_MODELS": "false", **environment}
    if certificate is not None:
        given |= {"PERIJOVE_TLS_CERTIFICATE": str(certificate.file), "PERIJOVE_TLS_KEY": str(certificate.key)}
    command = [sys.executable, "-m", "perijove_platform", "serve", "--data-dir", str(data_dir), "--port", str(port)]
    with (data_dir / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **given}
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                record = read_record(data_dir)
                break
            except NotRunning:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise AssertionError((data_dir / "serve.log").read_text()) from None
                time.sleep(0.05)
        file = certificate.file if certificate else None
        yield RunningPlatform(record.base_url, record.api_key, data_dir, process, file)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


async def eventually(condition: Callable[[], T | None], *, seconds: float = 60.0, what: str = "it") -> T:
    """What `condition`, which blocks, returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = await asyncio.to_thread(condition)
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        await asyncio.sleep(0.05)
