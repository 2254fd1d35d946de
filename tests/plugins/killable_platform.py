"""A platform in a process of its own that can be killed and started again on the same data directory."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
import psutil
from perijove_platform.discovery import NotRunning, read_record

START_SECONDS = 60.0
T = TypeVar("T")


def eventually(found: Callable[[], T | None], *, seconds: float = 60.0, what: str = "it") -> T:
    """What `found` returns once that is neither ``None`` nor false. Fails when it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


def alive(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie, which waits for its parent, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class KillablePlatform:
    """One data directory and the process that serves it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client()

    def command(self) -> list[str]:
        """What serves the data directory."""
        return [sys.executable, "-m", "perijove_platform", "serve", "--data-dir", str(self.data_dir), "--port", "0"]

    def environment(self) -> dict[str, str]:
        """Variables for it, besides those of this process."""
        return {}

    def start(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        variables = {**os.environ, **self.environment()}
        with (self.data_dir / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=variables
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                record = read_record(self.data_dir)
            except NotRunning:
                record = None
            # The record of the process that was killed lies there until the new one listens.
            if record is not None and record.pid == self._process.pid:
                self.client.close()
                headers = {"Authorization": f"Bearer {record.api_key}"}
                self.client = httpx.Client(base_url=record.base_url, headers=headers, timeout=120)
                return
            time.sleep(0.05)
        raise AssertionError(f"The platform did not start:\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL: nothing of the platform gets to run any more."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=60)
        self.client.close()

    def log(self) -> str:
        return (self.data_dir / "serve.log").read_text()

    def children(self) -> list[psutil.Process]:
        """Engines and trainers of this data directory, whoever is their parent by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.cwd().startswith(f"{self.data_dir}{os.sep}"):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def upload(self, name: str, content: bytes, purpose: str = "user_data") -> dict[str, Any]:
        answer = self.client.post("/v1/files", files={"purpose": (None, purpose), "file": (name, content)})
        assert answer.is_success, answer.text
        file: dict[str, Any] = answer.json()
        return file

    def objects(self) -> set[str]:
        """Every file below the object store's folder, unfinished ones included."""
        root = self.data_dir / "objects"
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}

    def middle_states(self) -> list[str]:
        """What is between two states; empty once the platform has come to rest."""
        found = []
        for model in self.get("/v1/models")["data"]:
            if model["state"] in ("pulling", "loading"):
                found.append(f"model {model['id']} is {model['state']}")
        for job in self.get("/v1/fine_tuning/jobs?limit=100")["data"]:
            if job["state"] not in ("succeeded", "failed", "cancelled", "paused"):
                found.append(f"job {job['id']} is {job['state']}")
        for store in self.get("/v1/vector_stores?limit=100")["data"]:
            listed = self.get(f"/v1/vector_stores/{store['id']}/files?limit=100")["data"]
            found += [f"file {file['id']} is in progress" for file in listed if file["status"] == "in_progress"]
            if store["status"] == "in_progress" or store["file_counts"]["total"] != len(listed):
                found.append(f"store {store['id']} is {store['status']} with {store['file_counts']}")
        return found

    def check_rest(self) -> None:
        """Nothing is stuck, nothing lies about, and every list agrees with its objects."""
        eventually(lambda: not self.middle_states(), what=f"rest; still {self.middle_states()}")
        listed = {f"files/proj-local/{file['id']}": file["bytes"] for file in self.get("/v1/files")["data"]}
        stored = {key for key in self.objects() if not key.startswith("uploads/")}
        assert stored == set(listed), self.log()
        for key, size in listed.items():
            assert (self.data_dir / "objects" / key).stat().st_size == size


class Reachable(Protocol):
    """A platform that answers now, and after a restart again."""

    client: httpx.Client


class EventLog:
    """Everything that the event stream told, over as many connections as it took."""

    def __init__(self, platform: Reachable) -> None:
        self._platform = platform
        self.seen: list[dict[str, Any]] = []
        self.last_id: str | None = None
        self._connect()

    def resume(self) -> None:
        """After a restart: go on where the stream broke."""
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the stream outlived the platform"
        self._connect()

    def _connect(self) -> None:
        client = self._platform.client
        connected = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(client, connected), daemon=True)
        self._thread.start()
        assert connected.wait(60), "the event stream was not answered"

    def _read(self, client: httpx.Client, connected: threading.Event) -> None:
        headers = {} if self.last_id is None else {"Last-Event-ID": self.last_id}
        try:
            with client.stream("GET", "/v1/events", headers=headers, timeout=None) as answer:
                fields: dict[str, str] = {}
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    if not line and "id" in fields:  # it is whole: one that breaks off before is told again
                        self.last_id = fields["id"]
                        if "data" in fields:
                            self.seen.append(json.loads(fields["data"]))
                        connected.set()
                        fields = {}
        except httpx.HTTPError:
            return

    def check_nothing_lost(self) -> None:
        """What was seen is, one for one and in order, what the outbox has."""
        begun = eventually(lambda: self.seen, what="the first event")[0]["id"]
        again = replay(self._platform, begun - 1, int(self.newest()))
        eventually(lambda: len(self.seen) >= len(again), what="the last event")
        assert [event["id"] for event in self.seen[: len(again)]] == [event["id"] for event in again]
        assert "reset" not in {event["type"] for event in self.seen}

    def newest(self) -> str:
        with self._platform.client.stream("GET", "/v1/events") as answer:
            return next(line[4:] for line in answer.iter_lines() if line.startswith("id: "))


def replay(platform: Reachable, after: int, until: int) -> list[dict[str, Any]]:
    """The events after one id up to another, as a client that was away gets them."""
    events: list[dict[str, Any]] = []
    if after >= until:
        return events
    with platform.client.stream("GET", "/v1/events", headers={"Last-Event-ID": str(after)}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line[6:]))
                if events[-1]["id"] >= until:
                    break
    return events
