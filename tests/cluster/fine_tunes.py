"""Fine-tunes as a person's programs see them: the API, a log that is followed, a cell, the command line."""

import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
from jupyter_client.manager import start_new_kernel

T = TypeVar("T")
Json = dict[str, Any]
JOBS = "/v1/fine_tuning/jobs"
FINAL = ("succeeded", "failed", "cancelled")
ANSWER_SECONDS = 60.0
CELL_SECONDS = 60


def until(what: str, condition: Callable[[], T | None], *, seconds: float, explain: Callable[[], Any] = str) -> T:
    """What `condition` returns once that is true.

    Args:
        explain: asked for what to show when it does not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s. {explain()}"
        time.sleep(0.1)
    return found


class Person:
    """One who has an API key of a platform.

    Args:
        environment: what makes programs use that platform with that key, and believe its certificate.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        headers = {"Authorization": f"Bearer {environment['PERIJOVE_API_KEY']}"}
        trust = ssl.create_default_context(cafile=environment.get("SSL_CERT_FILE"))
        self._client = httpx.Client(
            base_url=environment["PERIJOVE_BASE_URL"], headers=headers, timeout=ANSWER_SECONDS, verify=trust
        )

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, path: str, **request: Any) -> Json:
        answer = self._client.request(method, path, **request)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        found: Json = answer.json()
        return found

    def text(self, path: str) -> str:
        return self._client.get(path).raise_for_status().text

    def upload(self, name: str, content: str) -> str:
        """A file for fine-tuning; returns its id."""
        made = self.call("POST", "/v1/files", data={"purpose": "fine-tune"}, files={"file": (name, content)})
        return str(made["id"])

    def job(self, job_id: str) -> Json:
        return self.call("GET", f"{JOBS}/{job_id}")

    def events(self, job_id: str) -> list[Json]:
        """The job's events, oldest first."""
        listed = self.call("GET", f"{JOBS}/{job_id}/events", params={"limit": 1000, "order": "asc"})
        assert not listed["has_more"]
        return list(listed["data"])

    def reach(self, job_id: str, what: str, condition: Callable[[Json], Any], *, seconds: float) -> Json:
        """The job once `condition` holds of it; fails with its log when it ends before."""

        def look() -> Json | None:
            job = self.job(job_id)
            if condition(job):
                return job
            assert job["state"] not in FINAL, self.explain(job_id)
            return None

        return until(f"{job_id} {what}", look, seconds=seconds, explain=lambda: self.explain(job_id))

    def explain(self, job_id: str) -> str:
        log = self.text(f"{JOBS}/{job_id}/logs")
        return f"{json.dumps(self.job(job_id), indent=1)}\n{log[-4000:]}"

    def stream(self, path: str) -> "Stream":
        return Stream(self._client, path)

    def run(self, *arguments: str) -> str:
        """What the command `perijove` prints."""
        command = [sys.executable, "-P", "-m", "perijove_platform", *arguments]
        environment = {**os.environ, **self.environment, "COLUMNS": "400"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ANSWER_SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Stream(threading.Thread):
    """Text of the platform that comes bit by bit, followed from now to its end.

    Attributes:
        content: what has come so far.
    """

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__(daemon=True)
        self.content = ""
        self._client = client
        self._path = path
        self._error: httpx.HTTPError | None = None
        self.start()

    def run(self) -> None:
        timeout = httpx.Timeout(ANSWER_SECONDS, read=None)
        try:
            with self._client.stream("GET", self._path, timeout=timeout) as answer:
                answer.raise_for_status()
                for text in answer.iter_text():
                    self.content += text
        except httpx.HTTPError as error:
            self._error = error

    def shows(self, text: str, *, seconds: float) -> str:
        """The first whole line with `text`, waited for."""

        def look() -> str | None:
            return next((line for line in self.content.split("\n")[:-1] if text in line), None)

        return until(f"a line with '{text}'", look, seconds=seconds, explain=lambda: self.content[-4000:])

    def whole(self, *, seconds: float) -> str:
        """Everything, once it has ended."""
        self.join(seconds)
        assert not self.is_alive(), f"the stream has not ended:\n{self.content[-4000:]}"
        assert self._error is None, f"the stream was cut: {self._error}"
        return self.content


class Kernel:
    """A real kernel of a person's notebook."""

    def __init__(self, person: Person, folder: str) -> None:
        environment = {**os.environ, **person.environment}
        self._manager, self._client = start_new_kernel(kernel_name="python3", env=environment, cwd=folder)

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def run(self, cell: str) -> str:
        """Everything that a cell shows, as text."""
        shown: list[str] = []

        def keep(message: Json) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] == "error":
                shown.append("\n".join(content["traceback"]))
            elif message["msg_type"] in ("execute_result", "display_data"):
                shown.append(content["data"].get("text/plain", ""))

        reply = self._client.execute_interactive(cell, timeout=CELL_SECONDS, output_hook=keep)
        assert reply["content"]["status"] == "ok", "\n".join(shown)
        return "\n".join(shown)
