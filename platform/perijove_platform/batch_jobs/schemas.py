"""Batch jobs on the wire."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from perijove_platform.jobs.schemas import Id, JobError, Level, MaxRunSeconds, Priority
from perijove_platform.runtimes.base import JobState
from perijove_platform.schemas import Metadata, Request, Response

MAX_BYTES = 256 * 1024
"""Of the command with its arguments and of the variables' names and values, together: Kubernetes keeps them in objects
of 1 MiB at most, and stores some of them in a longer form."""
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
Status = Literal["queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled"]
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _check_no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL, which no program can be given")
    return text


def _check_environment(environment: dict[str, str]) -> dict[str, str]:
    for name in environment:
        if not _VARIABLE.fullmatch(name) or len(name) > 256:
            raise ValueError(f"'{name[:80]}' cannot be the name of a variable: use letters, digits and '_'")
        if name == INDEX_VARIABLE:
            raise ValueError(f"'{INDEX_VARIABLE}' is set for each run of the command; take another name")
    return environment


def _check_path(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ValueError(
            "a path is relative to the working folder, like 'data/train.jsonl'; its parts begin with a letter or digit "
            "and go on with letters, digits, '.', '_' and '-'"
        )
    if path.split("/")[0] == "checkpoints":
        raise ValueError("the folder 'checkpoints' is kept for fine-tunes; choose another one")
    return path


def _check_places(files: list[BatchJobFile]) -> list[BatchJobFile]:
    paths = {file.path for file in files}
    if len(paths) < len(files):
        raise ValueError("two files have the same path")
    for path in paths:
        parts = path.split("/")
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if found := above & paths:
            raise ValueError(f"'{found.pop()}' cannot be a file and the folder of '{path}'")
    return files


Argument = Annotated[str, Field(max_length=100_000), AfterValidator(_check_no_nul)]
Value = Annotated[str, Field(max_length=65_536), AfterValidator(_check_no_nul)]
Image = Annotated[str, Field(max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")]
Count = Annotated[int, Field(ge=1, le=1000)]


class BatchJobFile(Request):
    """A file of the project's, and where it lies in the working folder."""

    file_id: Id
    path: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_check_path)]


class BatchJobResources(Request):
    """What each run of the command asks for. Memory is a limit, too; of the processors others may use what is left."""

    cpus: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] = 1.0
    memory_bytes: Annotated[int, Field(ge=16 << 20, le=1 << 50)] = 2 << 30
    gpus: Annotated[int, Field(ge=0, le=1024)] = 0


class BatchJobCreate(Request):
    """What `POST /v1/batch_jobs` takes. `image` is needed on a cluster, and left out on the platform's own machine."""

    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    image: Image | None = None
    command: Annotated[list[Argument], Field(min_length=1, max_length=256)]
    environment: Annotated[dict[str, Value], Field(max_length=128), AfterValidator(_check_environment)] = Field(
        default_factory=dict
    )
    files: Annotated[list[BatchJobFile], Field(max_length=64), AfterValidator(_check_places)] = Field(
        default_factory=list
    )
    resources: BatchJobResources = Field(default_factory=BatchJobResources)
    completions: Count = 1
    parallelism: Count = 1
    priority: Priority = 0
    max_run_seconds: MaxRunSeconds | None = None
    cluster: Id = "local"
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        texts = (*self.command, *self.environment, *self.environment.values())
        size = sum(len(text.encode()) for text in texts)
        if size > MAX_BYTES:
            said = f"'command' and 'environment' have {size} bytes together, at most {MAX_BYTES}"
            raise ValueError(f"{said}; give what is large as a file")
        return self


class WireBatchJobFile(Response):
    file_id: str
    path: str


class WireBatchJobResources(Response):
    cpus: float
    memory_bytes: int
    gpus: int


class BatchJob(Response):
    """A command on its way. `completed` of `completions` runs have succeeded; values of variables are never told."""

    id: str
    object: Literal["batch_job"] = "batch_job"
    created_at: int
    started_at: int | None
    finished_at: int | None
    name: str | None
    image: str | None
    command: list[str]
    environment_names: Sequence[str]
    files: list[WireBatchJobFile]
    resources: WireBatchJobResources
    completions: int
    parallelism: int
    completed: int
    priority: int
    max_run_seconds: int | None
    cluster: str
    metadata: dict[str, str]
    organization_id: str
    status: Status
    state: JobState
    state_reason: str | None
    queue_position: int | None
    error: JobError | None


class BatchJobEvent(Response):
    """Something that happened to a job."""

    id: str
    object: Literal["batch_job.event"] = "batch_job.event"
    created_at: int
    level: Level
    message: str
    type: Literal["message"] = "message"
    data: None = None
    job_id: str
