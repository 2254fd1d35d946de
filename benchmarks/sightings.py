"""What benchmarks see of a cluster's objects and of processes' memory, and when."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import psutil
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.objects import JOBS, Object, ResourceType, get, true_condition
from perijove_platform.runtimes.kubernetes.watch import Change, Reflector

WAIT_SECONDS = 240
Met = Callable[[Object], str | None]


class Sightings:
    """When objects of a namespace first were as `met` wants them: it returns the name to note, or ``None``."""

    def __init__(self, client: KubernetesClient, type: ResourceType, namespace: str, met: Met) -> None:
        fields = f"metadata.namespace={namespace}"
        self._reflector = Reflector(client, type, fields=fields, on_change=self._note)
        self._met = met
        self._news = asyncio.Event()
        self.at: dict[str, float] = {}

    @asynccontextmanager
    async def watched(self) -> AsyncIterator["Sightings"]:
        task = asyncio.create_task(self._reflector.run())
        try:
            await self._reflector.synced.wait()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _note(self, change: Change) -> None:
        if change.new is not None and (name := self._met(change.new)) is not None:
            self.at.setdefault(name, time.perf_counter())
            self._news.set()
            self._news = asyncio.Event()

    async def of(self, name: str) -> float:
        """When that one was, waited for."""
        async with asyncio.timeout(WAIT_SECONDS):
            while name not in self.at:
                await self._news.wait()
        return self.at[name]

    async def all_of(self, names: Iterable[str]) -> float:
        """When the last of them was."""
        return max([await self.of(name) for name in names])


def admitted_job(workload: Object) -> str | None:
    if true_condition(workload, "Admitted") is None:
        return None
    owners = get(workload, "metadata", "ownerReferences", default=())
    return next((owner["name"] for owner in owners if owner["kind"] == JOBS.kind), None)


@dataclass
class Processes:
    """Some processes by name: their processor time, and their resident bytes, looked at every 50 ms while watched."""

    pids: dict[str, int]
    before: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def processor_seconds(self) -> dict[str, float]:
        """Used so far."""
        times = {name: psutil.Process(pid).cpu_times() for name, pid in self.pids.items()}
        return {name: found.user + found.system for name, found in times.items()}

    def now(self) -> dict[str, int]:
        return {name: psutil.Process(pid).memory_info().rss for name, pid in self.pids.items()}

    @contextmanager
    def watched(self) -> Iterator[None]:
        self.before = self.most = self.now()
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(0.05):
                self.most = {name: max(self.most[name], found) for name, found in self.now().items()}

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
