"""A platform with one cluster more, named ``pods``, whose pods a test starts by hand.

A fake of Kubernetes and of nothing else: the platform, its runs, the runner and the object store are real. What a
real Kubernetes does with the same runner is tested where there is one.

``python pods_by_hand.py DATA_DIR PORT``; a job's Secret is written to ``DATA_DIR/pods/<job id>/``, and its run has
ended when the file ``exit`` there holds the exit status.
"""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from perijove_platform import app, server
from perijove_platform.jobs.run_service import JobRunsService
from perijove_platform.runtimes.base import Capacity, JobSpec, JobState, JobUpdate
from perijove_platform.runtimes.job_runs import JobRuns
from perijove_platform.settings import Settings

_LOOK_SECONDS = 0.05


class HandJobs:
    """`base.Jobs` whose pods somebody else starts. The file ``script.json`` is added to each configuration."""

    lasting = True

    def __init__(self, folder: Path, runs: JobRuns) -> None:
        self._folder = folder
        self._runs = runs
        self._updates: asyncio.Queue[JobUpdate] = asyncio.Queue(100)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def submit(self, spec: JobSpec) -> None:
        secret = self._folder / spec.job_id
        if not secret.exists():
            script = self._folder / "script.json"
            if script.exists():
                spec = dataclasses.replace(spec, config={**spec.config, "script": json.loads(script.read_bytes())})
            files = await self._runs.begin("pods", spec)
            secret.mkdir()
            for name, text in files.items():
                building = secret / f"{name}.part"
                building.write_text(text)
                building.rename(secret / name)
        await self._updates.put(JobUpdate(job_id=spec.job_id, state=JobState.RUNNING))
        self._tasks[spec.job_id] = asyncio.create_task(self._wait(spec.job_id, secret / "exit"))

    async def _wait(self, job_id: str, ended: Path) -> None:
        while not ended.exists():
            await asyncio.sleep(_LOOK_SECONDS)
        code = int(ended.read_text())
        await self._runs.handed_over(job_id)
        state, reason = (JobState.FAILED, f"exit code {code}") if code else (JobState.SUCCEEDED, None)
        await self._updates.put(JobUpdate(job_id=job_id, state=state, reason=reason))
        await self._runs.end(job_id)

    async def cancel(self, job_id: str) -> None:
        await self._runs.end(job_id)
        await self._updates.put(JobUpdate(job_id=job_id, state=JobState.CANCELLED, reason="cancelled"))

    async def suspend(self, job_id: str) -> None:
        raise NotImplementedError

    async def logs(self, job_id: str, **_: Any) -> AsyncIterator[bytes]:
        yield b""

    async def watch(self) -> AsyncIterator[JobUpdate]:
        reports = asyncio.create_task(self._take_reports())
        try:
            while True:
                yield await self._updates.get()
        finally:
            reports.cancel()

    async def _take_reports(self) -> None:
        async for update in self._runs.watch("pods"):
            await self._updates.put(update)

    async def work_folder(self, job_id: str) -> Path:
        return await self._runs.results(job_id)


class HandCluster:
    """`base.Cluster` as far as jobs need it."""

    name = "pods"
    serving: Any = None

    def __init__(self, jobs: HandJobs) -> None:
        self.jobs = jobs

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def capacity(self) -> Capacity:
        return Capacity(cpus=0, memory_bytes=0, memory_free_bytes=0, gpus=0, gpus_free=0, disk_free_bytes=0)


def main() -> None:
    data_dir = Path(sys.argv[1])
    os.environ["PERIJOVE_PUBLIC_URL"] = f"http://127.0.0.1:{sys.argv[2]}"
    settings = Settings(data_dir=data_dir, install_default_models=False)
    (data_dir / "pods").mkdir(parents=True, exist_ok=True)
    composition = vars(app)
    registry, service = composition["ClusterRegistry"], JobRunsService
    made: list[JobRunsService] = []

    def runs(*arguments: Any, **named: Any) -> JobRunsService:
        made.append(service(*arguments, **named))
        return made[-1]

    def clusters(database: Any, events: Any, local: Any, *others: Any, **named: Any) -> Any:
        cluster = HandCluster(HandJobs(data_dir / "pods", made[-1]))
        return registry(database, events, [*local, cluster], *others, **named)

    composition.update(JobRunsService=runs, ClusterRegistry=clusters)
    server.serve(settings, port=int(sys.argv[2]))


if __name__ == "__main__":
    main()
