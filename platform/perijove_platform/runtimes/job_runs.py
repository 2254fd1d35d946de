"""What a cluster whose jobs run in pods needs of the platform's end of the runner: `jobs/run_service.py`."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

from perijove_platform.runtimes.base import JobSpec, JobUpdate


class JobRuns(Protocol):
    """The runs of jobs whose program speaks to the platform over HTTP, from wherever its pod is."""

    async def begin(self, cluster: str, spec: JobSpec) -> Mapping[str, str]:
        """The files of the job's Secret, by name, to be mounted read-only at `runner.contract.SECRET_FOLDER`.

        Called before the Job is made. Each call makes a new token; those of the few calls before stay good until the
        job ends, so that it does not matter which of two replicas, or of two attempts, wrote the Secret that stays.

        Raises:
            errors.Unavailable: pods have no address of this platform, or the base model is no single file.
        """
        ...

    async def end(self, job_id: str) -> None:
        """The job has ended for good: its token stops working, its checkpoints are removed; results stay.

        To be called once the job's final update has been passed on, or before a cancelled job's pods are deleted, so
        that they do not spend their grace period on a checkpoint. A job that is paused, or whose Job was lost, has not
        ended. Unknown or ended runs are ignored.
        """
        ...

    def watch(self, cluster: str) -> AsyncIterator[JobUpdate]:
        """The reports of this cluster's jobs as updates, in order, from the first that has not been recorded yet.

        `JobUpdate.number` tells the recorder which report it is: until it has been recorded it is given to each new
        watcher, such as after a restart or on another replica. A report that a watcher was given and did not record,
        since another replica led, is looked up by whoever records (`jobs.recorder`).
        """
        ...

    async def handed_over(self, job_id: str) -> None:
        """Returns once every report that had arrived when this was called has been taken from `watch`.

        To be awaited before a final state is passed on, so that the program's own last words come first: its error
        explains a failure, its result makes a success. The runner exits only after they have arrived.
        """
        ...

    async def results(self, job_id: str) -> Path:
        """A folder on this machine with what the program stored as its results, as `Jobs.work_folder` promises."""
        ...
