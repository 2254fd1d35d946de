"""Any command as a job, with its progress in the cell."""

import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from IPython.display import display
from perijove_platform.discovery import connect

from perijove_kernels.connection import shared_client
from perijove_kernels.files import upload
from perijove_kernels.job_places import FINAL, check_place, place_of
from perijove_kernels.platform_events import follow
from perijove_kernels.session import remember

REDRAW_SECONDS = 0.2
KIND = "batch_job"
_PATH = "/batch_jobs"


class BatchJobFailed(RuntimeError):
    """The job ended without success; the message says why."""


class BatchJob:
    """A batch job: shows itself with where it stands.

    Attributes:
        job: the job as last heard of, as the API gives it.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.job = job
        self._message = ""

    @property
    def id(self) -> str:
        return str(self.job["id"])

    @property
    def state(self) -> str:
        """``queued``, ``admitted``, ``running``, ``paused``, ``succeeded``, ``failed`` or ``cancelled``."""
        return str(self.job["state"])

    def refresh(self) -> "BatchJob":
        """Ask for the job as it stands."""
        self.job = _ask("GET", f"{_PATH}/{quote(self.id, safe='')}")
        return self

    def wait(self, *, show: bool = True) -> "BatchJob":
        """Wait for the end, with a display that stays up to date. Interrupting the cell leaves the job running.

        Raises:
            BatchJobFailed: the job failed or was cancelled.
        """
        handle = display(self, display_id=True) if show else None
        drawn = time.monotonic()
        try:
            with follow() as events:
                self.refresh()
                while self.state not in FINAL:
                    standing = self._line()
                    changed = self._take(next(events))
                    due = time.monotonic() - drawn >= REDRAW_SECONDS or self._line() != standing
                    if handle is not None and changed and due:
                        handle.update(self)
                        drawn = time.monotonic()
        except KeyboardInterrupt:
            self._message = "No longer watched, still running: .wait() watches again, .cancel() stops it."
            if handle is not None:
                handle.update(self)
            return self
        if handle is not None:
            handle.update(self)
        if self.state != "succeeded":
            raise BatchJobFailed(f"Job {self.id} {self.state}. {self._reason()}")
        return self

    def cancel(self) -> "BatchJob":
        """Stop the job for good."""
        return self._act("cancel")

    def pause(self) -> "BatchJob":
        """Stop the job for now; commands that have not ended begin anew when it is resumed."""
        return self._act("pause")

    def resume(self) -> "BatchJob":
        """Queue the paused job again."""
        return self._act("resume")

    def logs(self, *, tail: int | None = None) -> str:
        """What the command has written: all that is kept, or its last `tail` lines."""
        return "".join(self._log(tail))

    def _log(self, tail: int | None) -> Iterator[str]:
        connection = connect()
        url = f"{connection.base_url}/v1{_PATH}/{quote(self.id, safe='')}/logs"
        headers = {"Authorization": f"Bearer {connection.api_key}"}
        query = {} if tail is None else {"tail": tail}
        with httpx.stream("GET", url, headers=headers, params=query, timeout=60) as answer:
            answer.raise_for_status()
            yield from answer.iter_text()

    def _act(self, action: str) -> "BatchJob":
        self.job = _ask("POST", f"{_PATH}/{quote(self.id, safe='')}/{action}")
        return self

    def _take(self, event: Mapping[str, Any]) -> bool:
        """Take over what an event of the platform says; whether it was about this job."""
        if event["type"] == "reset":
            self.refresh()
            return True
        if event["object_id"] != self.id:
            return False
        if event["type"] == f"{KIND}.event":
            self._message = event["data"]["message"]
        else:
            self.job = event["data"]
        return True

    def _reason(self) -> str:
        error = self.job["error"]
        return str(error["message"] if error else self.job["state_reason"] or "")

    def _line(self) -> str:
        parts = [self.state]
        if place := place_of(self.job):
            parts.append(place)
        if self.job["completions"] > 1:
            parts.append(f"{self.job['completed']} of {self.job['completions']} done")
        return " · ".join(parts)

    def _title(self) -> str:
        return f"{self.job['name']} ({self.id})" if self.job["name"] else self.id

    def __repr__(self) -> str:
        said = self._reason() or self._message
        return f"Batch job {self._title()}: {self._line()}" + (f" ({said})" if said else "")

    def _repr_html_(self) -> str:
        said = self._reason() or self._message
        return (
            f"<div><b>Batch job</b> {escape(self._title())}<br>{escape(self._line())}"
            + (f"<div style='color:var(--jp-ui-font-color2,#777)'>{escape(said)}</div>" if said else "")
            + "</div>"
        )


def batch_job(
    command: Sequence[str],
    *,
    image: str | None = None,
    on: str | None = None,
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, str | Path] | None = None,
    cpus: float | None = None,
    memory_bytes: int | None = None,
    gpus: int | None = None,
    completions: int = 1,
    parallelism: int = 1,
    priority: int = 0,
    max_run_seconds: int | None = None,
    wait: bool = True,
) -> BatchJob:
    """Run a command as a job, and watch it.

    Args:
        command: the program and its arguments.
        image: what it runs in; needed on a cluster, left out on the platform's own machine.
        on: the cluster that runs it, by name (see `listings.clusters`); the platform's own machine when left out.
        environment: variables; their values are kept secret.
        files: by their path in the working folder: a path of this machine, which is uploaded, or the id of a file.
        completions: how often the command has to succeed, `parallelism` of these at the same time; each run finds its
            number in ``JOB_COMPLETION_INDEX``.
        priority: -2 to 2; higher runs first.
        max_run_seconds: a job that runs longer fails.
        wait: with False, return at once; ``.wait()`` watches later.

    Raises:
        LookupError: there is no such cluster.
        FileNotFoundError: there is no such file.
        openai.BadRequestError: the platform refuses the job; says why.
        BatchJobFailed: the job failed.
    """
    if on is not None:
        check_place(on)
    resources = {"cpus": cpus, "memory_bytes": memory_bytes, "gpus": gpus}
    optional = {"image": image, "cluster": on, "name": name, "max_run_seconds": max_run_seconds}
    body = {
        "command": list(command),
        "environment": dict(environment or {}),
        "files": [{"path": path, "file_id": _file_id(file)} for path, file in (files or {}).items()],
        "resources": {key: value for key, value in resources.items() if value is not None},
        "completions": completions,
        "parallelism": parallelism,
        "priority": priority,
        **{key: value for key, value in optional.items() if value is not None},
    }
    run = BatchJob(_ask("POST", _PATH, body))
    remember(KIND, run.id, name or " ".join(command)[:100])
    return run.wait() if wait else run


def end_batch_job(job_id: str) -> None:
    """Cancel it unless it has ended. Raises `openai.NotFoundError` when it is not there."""
    run = BatchJob(_ask("GET", f"{_PATH}/{quote(job_id, safe='')}"))
    if run.state not in FINAL:
        run.cancel()


def _file_id(file: str | Path) -> str:
    return file if isinstance(file, str) and file.startswith("file-") else upload(file).id


def _ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    client = shared_client()
    answer: Any = (
        client.get(path, cast_to=object) if method == "GET" else client.post(path, cast_to=object, body=body or {})
    )
    found: dict[str, Any] = answer
    return found
