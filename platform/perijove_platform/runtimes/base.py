"""The `Cluster` contract that managers speak to.

A laptop is a cluster of one, so no manager asks where it runs: `runtimes/local` implements this contract with
child processes and a Kubernetes cluster will with Kueue jobs and pods, with the same states, updates and errors.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

Wish = Literal["run", "pause", "cancel"]
"""What the owner of a job wants; `JobState` is where it stands."""


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    ADMITTED = "admitted"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job may use at most; ``None`` leaves the place's own default."""

    cpus: float | None = None
    memory_bytes: int | None = None
    gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A program to run to its end.

    Attributes:
        job_id: the platform's id; submitting the same id again adopts the running job.
        project_id: the project that owns it.
        program: which program of ours runs (``"trainer"``), or ``"batch"`` for a command of the owner's own.
        config: what the program is told, as JSON; paths in it are relative to its working folder. Of ``"batch"``:
            ``{"image", "command", "environment", "completions", "parallelism"}``.
        inputs: object-store keys to place in the working folder, by relative path.
        resources: limits.
        priority: higher runs first.
        max_run_seconds: of running, over all attempts and without the time in which it waits or is paused.
    """

    job_id: str
    project_id: str
    program: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = Resources()
    priority: int = 0
    max_run_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class JobUpdate:
    """One thing that happened to a job, in order.

    Attributes:
        state: set when the state changed.
        reason: why the job is in that state, for a person: "waiting for 1 running job", "out of disk".
        code: of a failure, for programs.
        queue_position: 1 is next; ``None`` when not queued.
        completed: of a job with several completions, how many have succeeded, once that is known.
        interruption: why the run before this one was ended (its pod was evicted, it was preempted), while the job waits
            to go on.
        report: a line that the program itself reported (metrics, message, checkpoint, result); see `trainer.report`.
        number: of a report that is kept until it has been recorded, and may be given more than once until then
            (`runtimes.job_runs`); whoever records it does so in the transaction that removes it.
    """

    job_id: str
    state: JobState | None = None
    reason: str | None = None
    code: str | None = None
    queue_position: int | None = None
    completed: int | None = None
    interruption: str | None = None
    report: Mapping[str, Any] | None = None
    number: int | None = None


class Jobs(Protocol):
    """Runs programs to their end.

    Attributes:
        lasting: whether jobs go on while this platform is away, and where they stand is told again after `submit`.
        takes_images: whether commands run in containers, each of an image; else as programs of the machine.
    """

    lasting: bool
    takes_images: bool

    async def submit(self, spec: JobSpec) -> None: ...

    async def cancel(self, job_id: str) -> None:
        """Stop within a second; the update `cancelled` follows. Unknown or ended jobs are ignored."""
        ...

    async def suspend(self, job_id: str) -> None:
        """Stop and keep what is needed to go on from the last checkpoint; the update `paused` follows."""
        ...

    def logs(
        self, job_id: str, *, follow: bool, tail_lines: int | None = None, tail_bytes: int | None = None
    ) -> AsyncIterator[bytes]:
        """What the job's programs wrote: all that is kept, or its last lines or bytes; empty while there is nothing.

        With `follow`, what is written later comes too, each byte once, until the run ends.
        """
        ...

    def watch(self) -> AsyncIterator[JobUpdate]:
        """Updates of every job from now on, pushed. One watcher at a time."""
        ...

    async def work_folder(self, job_id: str) -> Path:
        """The job's working folder, where its outputs are once it has succeeded."""
        ...


@dataclass(frozen=True, kw_only=True)
class AdapterSpec:
    """A LoRA adapter in the engine's own format, under the model id that clients name."""

    model_id: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A base model to serve, with every adapter that is registered for it.

    Attributes:
        model_id: the internal, unique id of the base model (not an alias).
        path: the weights file (GGUF).
        adapters: served by the same engine process as the base.
        embedding: serve `/v1/embeddings` instead of chat.
        context_length: tokens; ``None`` takes the model's own, bounded by the engine's default.
    """

    model_id: str
    path: Path
    adapters: Sequence[AdapterSpec] = ()
    embedding: bool = False
    context_length: int | None = None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A ready engine, OpenAI-shaped HTTP on loopback.

    Attributes:
        base_url: without trailing slash, without ``/v1``.
        headers: must accompany every request (the engine's own secret).
        adapter_index: by adapter model id, the number that the engine's ``lora`` field takes.
        context_length: tokens, as served.
    """

    base_url: str
    headers: Mapping[str, str]
    adapter_index: Mapping[str, int]
    context_length: int


class EngineState(StrEnum):
    LOADING = "loading"
    READY = "ready"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class EngineUpdate:
    """An engine changed its state.

    Attributes:
        memory_bytes: resident memory once ready.
    """

    model_id: str
    state: EngineState
    reason: str | None = None
    memory_bytes: int | None = None


class Serving(Protocol):
    """Serves models on demand."""

    def use(self, spec: ModelSpec) -> AbstractAsyncContextManager[Endpoint]:
        """A lease on a ready engine: loads the model while the caller waits, and it is not unloaded while held.

        Raises:
            errors.Unavailable: the model does not fit in the memory budget, or its engine cannot start; says why.
        """
        ...

    async def unload(self, model_id: str) -> None:
        """Stop the model's engine once the leases on it have ended (new ones wait for a fresh engine)."""
        ...

    def engines(self) -> Sequence[EngineUpdate]:
        """The engines as they stand now."""
        ...

    def watch(self) -> AsyncIterator[EngineUpdate]:
        """Updates from now on, pushed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a place has and what is free of it; memory in bytes."""

    cpus: int
    memory_bytes: int
    memory_free_bytes: int
    gpus: int
    gpus_free: int
    disk_free_bytes: int


class Cluster(Protocol):
    """A place where jobs and models run."""

    name: str
    jobs: Jobs
    serving: Serving

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def capacity(self) -> Capacity: ...


@dataclass(frozen=True, kw_only=True)
class ClusterChange:
    """A cluster came or went.

    Attributes:
        organization_id: whose it is; ``None`` for one that every organization uses.
        present: false when it has gone for good. One that only lost its connection stays.
    """

    cluster: Cluster
    organization_id: str | None
    present: bool


class Clusters(Protocol):
    """The clusters that there are; they come and go while the platform runs."""

    def all(self) -> Sequence[Cluster]:
        """Of every organization, as known here now."""
        ...

    async def names(self, organization_id: str) -> Sequence[str]:
        """Those that an organization can use; `local` is the first."""
        ...

    async def get(self, name: str, organization_id: str) -> Cluster | None:
        """The cluster that an organization calls so, by its name or id; one that was made a moment ago is found."""
        ...

    def watch(self) -> AsyncIterator[ClusterChange]:
        """What comes and goes from the moment of this call on, pushed. Any number of watchers."""
        ...
