"""From a fine-tune's creation to its Job in the cluster, and 200 of them to their admission by Kueue.

`python benchmarks/job_creation.py [--jobs 50] [--at-once 200]`, as root on Linux: on the test bed, which is started
where it is not up. A platform of its own with PostgreSQL and S3, its agent by helm; nothing is simulated.

1. One after another, in turn: a fine-tune, `kubectl create` of the same Job, and the same Job straight to the API
   server, each from the request until a watch of the API server shows the Job. The queue has no quota, so that they
   stay suspended. What a fine-tune costs the processor in all is told besides: it does not depend on what else runs.
2. At once: the same Jobs, suspended, straight to the API server, then as many fine-tunes; each until all Jobs are there
   and until Kueue has admitted all. Their pods ask for more memory than the node has, so that none of them runs.
3. Resident memory of the platform and of the agent, before and at most while the fine-tunes of 2 are made.
"""

import argparse
import asyncio
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.kubeconfig import connect
from perijove_platform.runtimes.kubernetes.objects import (
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    NAMESPACES,
    WORKLOADS,
    Object,
    name_of,
)
from rich.console import Console
from rich.table import Table
from sightings import WAIT_SECONDS, Processes, Sightings, admitted_job

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cluster"))

from programs import program
from testbed import cluster as testbed
from testbed import layout
from testbed.hosted import Hosted

BUDGET_MS, BUDGET_PLATFORM_MB, BUDGET_AGENT_MB = 300, 250, 100
JOB_MEMORY = 1 << 40
"""More than any node has."""
AT_ONCE = 16
"""Requests that are under way at the same time, as the platform has it in its own."""
QUEUE = "perijove"
EXAMPLE = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Perijove."}]}


class Peer:
    """A namespace with a queue that is like the project's, in which the same Jobs are made without the platform."""

    def __init__(self, client: KubernetesClient, name: str, folder: Path) -> None:
        self.name = name
        self._client = client
        self._folder = folder
        self._template: Object = {}
        self._made = 0

    async def prepare(self, job: Object, queue: Object) -> None:
        """Like that Job and its ClusterQueue."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "benchmark": self.name}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}}
        await self._client.apply(NAMESPACES, namespace)
        self._template = job
        await self.use(queue)
        local = {"metadata": {"name": QUEUE, "namespace": self.name}, "spec": {"clusterQueue": self.name}}
        await self._client.apply(LOCAL_QUEUES, {"apiVersion": queue["apiVersion"], "kind": "LocalQueue", **local})

    async def use(self, queue: Object) -> None:
        """Its quota from now on."""
        spec = {**queue["spec"], "namespaceSelector": {"matchLabels": {"benchmark": self.name}}}
        head = {"apiVersion": queue["apiVersion"], "kind": queue["kind"], "metadata": {"name": self.name}}
        await self._client.apply(CLUSTER_QUEUES, {**head, "spec": spec})

    def manifest(self) -> dict[str, Any]:
        """Another one of the same Jobs."""
        self._made += 1
        found = copy.deepcopy(dict(self._template))
        labels = {key: value for key, value in found["metadata"]["labels"].items() if "perijove" not in key}
        found["metadata"] = {"name": f"job-{self._made}", "namespace": self.name, "labels": labels}
        pods = found["spec"]["template"]["metadata"]
        pods["labels"] = {"benchmark": self.name}
        for generated in ("selector", "manualSelector"):
            found["spec"].pop(generated, None)
        found.pop("status", None)
        return found

    async def create(self, manifest: Object) -> str:
        await self._client.apply(JOBS, manifest)
        return name_of(manifest)

    async def create_by_kubectl(self, manifest: Object) -> str:
        file = self._folder / f"{name_of(manifest)}.json"
        file.write_text(json.dumps(manifest))
        command = [str(program("kubectl")), f"--kubeconfig={layout.ADMIN}", "create", "-f", str(file)]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        if await child.wait() != 0:
            raise SystemExit("kubectl create has failed.")
        return name_of(manifest)

    async def clear(self) -> None:
        pages = [page.items async for page in self._client.list(JOBS, self.name)]
        names = [name_of(job) for page in pages for job in page]
        await in_turns(lambda name: self._client.delete(JOBS, name, self.name), names)

    async def remove(self) -> None:
        await self._client.delete(NAMESPACES, self.name)
        await self._client.delete(CLUSTER_QUEUES, self.name)


class Ours:
    """Fine-tunes on the platform."""

    def __init__(self, hosted: Hosted, http: httpx.AsyncClient) -> None:
        self._hosted = hosted
        self._http = http
        self._body: dict[str, Any] = {}

    async def prepare(self) -> None:
        """A training file, and the model that comes with the platform."""
        content = f"{json.dumps(EXAMPLE)}\n" * 10
        file = await self._call(
            "POST", "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("t.jsonl", content)}
        )
        async with asyncio.timeout(WAIT_SECONDS):
            while not (model := await self._chat_model()):
                await asyncio.sleep(0.5)
        self._body = {"model": model, "training_file": file["id"], "cluster": self._hosted.cluster}

    async def create(self) -> str:
        made = await self._call("POST", "/v1/fine_tuning/jobs", json=self._body)
        return str(made["id"])

    async def cancel(self, job_ids: Iterable[str]) -> None:
        await in_turns(lambda job_id: self._call("POST", f"/v1/fine_tuning/jobs/{job_id}/cancel"), job_ids)

    async def set_quota(self, cpu: str, memory: str) -> None:
        body = {"resources": {"cpu": cpu, "memory": memory}, "cohort": None}
        await self._call("PUT", f"/v1/clusters/{self._hosted.cluster}/quotas/{self._hosted.project}", json=body)

    async def _chat_model(self) -> str | None:
        models = (await self._call("GET", "/v1/models"))["data"]
        ready = [model for model in models if model["kind"] == "chat" and model["state"] in ("available", "loaded")]
        return ready[0]["id"] if ready else None

    async def _call(self, method: str, path: str, **request: Any) -> Any:
        answer = await self._http.request(method, path, **request)
        if not answer.is_success:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()


def table_of(title: str, *columns: str) -> Table:
    found = Table(title=title)
    for column in ("", *columns):
        found.add_column(column, justify="right")
    return found


async def in_turns(work: Callable[[Any], Awaitable[Any]], given: Iterable[Any]) -> list[Any]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(value: Any) -> Any:
        async with turn:
            return await work(value)

    return list(await asyncio.gather(*(one(value) for value in given)))


class Benchmark:
    def __init__(self, hosted: Hosted, client: KubernetesClient, ours: Ours, peer: Peer) -> None:
        self._hosted = hosted
        self._client = client
        self._ours = ours
        self._peer = peer
        self._console = Console(width=120)
        platform = int((layout.PIDS / hosted.platform.process()).read_text().split()[0])
        self._processes = Processes({"control plane": platform, "agent": agent_pid(hosted.url)})

    async def run(self, number: int, at_once: int) -> None:
        await self._ours.prepare()
        await self._ours.set_quota("0", "0")
        namespace = self._hosted.project_namespace
        async with (
            Sightings(self._client, JOBS, namespace, name_of).watched() as our_jobs,
            Sightings(self._client, JOBS, self._peer.name, name_of).watched() as peer_jobs,
            Sightings(self._client, WORKLOADS, namespace, admitted_job).watched() as our_admitted,
            Sightings(self._client, WORKLOADS, self._peer.name, admitted_job).watched() as peer_admitted,
        ):
            # The first makes the namespace and its queue, and brings the base model into the object store.
            first = await self._ours.create()
            await our_jobs.of(first)
            job = await self._client.get(JOBS, first, namespace)
            await self._peer.prepare(job, await self._queue())
            made = [first, *await self._one_after_another(number, our_jobs, peer_jobs)]
            await self._ours.cancel(made)
            await self._peer.clear()
            await self._gone(namespace)
            await self._gone(self._peer.name)

            await self._ours.set_quota(str(at_once), str(at_once * JOB_MEMORY))
            await self._quota(at_once)
            await self._peer.use(await self._queue())
            table = table_of(
                f"{at_once} at once, suspended, to a queue that takes them all",
                "requests answered, s", "all Jobs there, s", "all admitted, s",
            )  # fmt: skip
            manifests = [self._peer.manifest() for _ in range(at_once)]
            began = time.perf_counter()
            names = await in_turns(self._peer.create, manifests)
            row = (time.perf_counter(), await peer_jobs.all_of(names), await peer_admitted.all_of(names))
            table.add_row("straight to the API server", *(f"{at - began:.1f}" for at in row))
            await self._peer.remove()
            await self._gone(self._peer.name)

            with self._processes.watched():
                began = time.perf_counter()
                names = await in_turns(lambda _: self._ours.create(), range(at_once))
                row = (time.perf_counter(), await our_jobs.all_of(names), await our_admitted.all_of(names))
            table.add_row("fine-tunes", *(f"{at - began:.1f}" for at in row))
            self._console.print(table)
            self._show_memory(at_once)
            await self._ours.cancel(names)
            await self._gone(namespace)

    async def _one_after_another(self, number: int, our_jobs: Sightings, peer_jobs: Sightings) -> list[str]:
        """Three ways in turn; returns the fine-tunes."""
        made: list[str] = []

        async def fine_tune() -> float:
            made.append(await self._ours.create())
            return await our_jobs.of(made[-1])

        async def by_kubectl(manifest: Object) -> float:
            return await peer_jobs.of(await self._peer.create_by_kubectl(manifest))

        async def straight(manifest: Object) -> float:
            return await peer_jobs.of(await self._peer.create(manifest))

        took: dict[str, list[float]] = {}
        before = self._processes.processor_seconds()
        for _ in range(number):
            ways: dict[str, Callable[[], Awaitable[float]]] = {
                f"fine-tune created (budget {BUDGET_MS} ms)": fine_tune,
                "kubectl create": partial(by_kubectl, self._peer.manifest()),
                "the API server alone": partial(straight, self._peer.manifest()),
            }
            for name, way in ways.items():
                began = time.perf_counter()
                took.setdefault(name, []).append(((await way()) - began) * 1000)
        table = table_of(
            f"from the request to the Job, {number} one after another", "median, ms", "95th percentile, ms"
        )
        for name, times in took.items():
            table.add_row(name, f"{statistics.median(times):.0f}", f"{statistics.quantiles(times, n=20)[-1]:.0f}")
        for name, used in self._processes.processor_seconds().items():
            each = (used - before[name]) / number * 1000
            table.add_row(f"processor time of the {name} for a fine-tune", f"{each:.0f}", "")
        table.add_row("the first seed's system, which polls every 10 s (not measured)", "5000", "9500")
        self._console.print(table)
        return made

    def _show_memory(self, at_once: int) -> None:
        table = table_of(f"resident memory, MB, while {at_once} fine-tunes are made", "before", "at most", "budget")
        for name, budget in (("control plane", BUDGET_PLATFORM_MB), ("agent", BUDGET_AGENT_MB)):
            before, most = self._processes.before[name], self._processes.most[name]
            table.add_row(name, f"{before / 1e6:.0f}", f"{most / 1e6:.0f}", str(budget))
        self._console.print(table)

    async def _queue(self) -> Object:
        return await self._client.get(CLUSTER_QUEUES, self._hosted.project_namespace)

    async def _quota(self, cpu: int) -> None:
        """Wait until the project's queue has it."""
        async with asyncio.timeout(WAIT_SECONDS):
            while f'"nominalQuota": "{cpu}"' not in json.dumps((await self._queue())["spec"]):
                await asyncio.sleep(0.1)

    async def _gone(self, namespace: str) -> None:
        """Wait until no Job is left there."""
        async with asyncio.timeout(WAIT_SECONDS):
            while any([page.items async for page in self._client.list(JOBS, namespace)]):
                await asyncio.sleep(0.5)


def agent_pid(platform_url: str) -> int:
    """Of the agent in its pod, which is a process of this machine."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "perijove_platform.agent" in process.cmdline() and process.environ().get(
                "PERIJOVE_AGENT_PLATFORM_URL"
            ) == platform_url.rstrip("/"):
                return process.pid
    raise SystemExit("The agent's process is not to be found.")


async def measure(hosted: Hosted, folder: Path, number: int, at_once: int) -> None:
    transport = connect(layout.ADMIN)
    client = KubernetesClient(transport)
    headers = {"Authorization": f"Bearer {hosted.api_key()}"}
    peer = Peer(client, f"{hosted.name}-peer", folder)
    try:
        async with httpx.AsyncClient(base_url=hosted.url, headers=headers, timeout=WAIT_SECONDS) as http:
            await Benchmark(hosted, client, Ours(hosted, http), peer).run(number, at_once)
    finally:
        await peer.remove()
        await transport.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="From a fine-tune's creation to its Job, and 200 to their admission.")
    parser.add_argument("--jobs", type=int, default=50, help="one after another")
    parser.add_argument("--at-once", type=int, default=200)
    asked = parser.parse_args()
    settings = {"PERIJOVE_TRAINER_MEMORY_BYTES": str(JOB_MEMORY), "PERIJOVE_TRAINER_CPUS": "1"}
    with (
        testbed.used(),
        Hosted.started("bench", settings=settings) as hosted,
        tempfile.TemporaryDirectory() as folder,
    ):
        asyncio.run(measure(hosted, Path(folder), asked.jobs, asked.at_once))


if __name__ == "__main__":
    main()
