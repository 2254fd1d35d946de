"""Whether what the platform has in SQL is what the cluster has: one check, for after every fault.

Both sides are read by others' means: the tables by a connection of its own, the cluster by kubectl as its
administrator. How a Job's state follows from its objects is said here anew, and not asked of the code under test.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from testbed import kubectl

Object = dict[str, Any]
SECONDS = 10.0
"""Within which both sides have to agree after a fault."""
LOOKS = 10
"""That many they have in any case: on a busy machine each takes long, as everything does."""
FINAL = ("succeeded", "failed", "cancelled")
JOB = "perijove.dev/job"
CLUSTER = "perijove.dev/cluster"
PROJECT = "perijove.dev/project"
KINDS = "jobs.batch,pods,secrets,workloads.kueue.x-k8s.io,localqueues.kueue.x-k8s.io"
ONCE = {
    "succeeded": ("New fine-tuned model created", "The job has successfully completed"),
    "failed": ("The job failed",),
    "cancelled": ("The job was cancelled",),
}
"""What a job's events say exactly once when it has ended so, and never otherwise."""
QUERIES = {
    "jobs": "SELECT j.*, f.progress, f.fine_tuned_model, f.result_files FROM jobs j JOIN fine_tuning_jobs f USING (id) "
    "WHERE j.project_id = $1 ORDER BY id",
    "events": "SELECT job_id, type, message, data FROM job_events WHERE project_id = $1 ORDER BY id",
    "runs": "SELECT job_id, attempt, ended_at FROM job_runs WHERE project_id = $1",
    "waiting": "SELECT r.job_id FROM job_run_reports r JOIN job_runs j USING (job_id) WHERE j.project_id = $1",
    "models": "SELECT name, source FROM models WHERE project_id = $1 AND base_id IS NOT NULL",
    "files": "SELECT id FROM files WHERE project_id = $1",
    "steps": "SELECT job_id, step_number FROM fine_tuning_checkpoints WHERE project_id = $1",
    "quotas": "SELECT resources FROM cluster_quotas WHERE project_id = $1 AND cluster_id = $2",
    "clusters": "SELECT id, state FROM clusters WHERE id = $2 AND $1 <> ''",
    # Those of a replica that was killed go when it is taken for dead.
    "links": "SELECT l.id FROM agent_links l JOIN replicas r ON r.id = l.replica_id WHERE l.cluster_id = $2 "
    "AND r.heartbeat_at > extract(epoch FROM clock_timestamp()) - 8 AND $1 <> ''",
}


@dataclass(frozen=True)
class Place:
    """Which project on which cluster.

    Attributes:
        database_url: of the platform's PostgreSQL.
        agents: the namespace of the cluster's agents.
    """

    database_url: str
    project_id: str
    organization_id: str
    cluster_id: str
    agents: str

    @property
    def namespace(self) -> str:
        return f"perijove-{self.project_id}"


@dataclass
class Sides:
    """Both sides as they were at about one moment: rows of SQL by query, objects of the cluster by kind."""

    rows: dict[str, list[Object]]
    objects: dict[str, list[Object]] = field(default_factory=dict)

    def of(self, kind: str) -> list[Object]:
        return self.objects.get(kind, [])

    def about(self, query: str, job_id: str) -> list[Object]:
        return [row for row in self.rows[query] if row["job_id"] == job_id]


class Truth:
    """Compares the two sides of one place.

    Attributes:
        resumed: jobs whose pod was killed without notice, so that steps after its last checkpoint are taken again.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.resumed: set[str] = set()

    @property
    def database_url(self) -> str:
        return self._place.database_url

    def check(self, *, seconds: float = SECONDS) -> None:
        """Fails with what still differs after `seconds`."""
        deadline, looks = time.monotonic() + seconds, 1
        while differing := self.differences(self.read()):
            told = "\n".join([f"SQL is not what the cluster is after {seconds:.0f} s and {looks} looks.", *differing])
            assert time.monotonic() < deadline or looks < LOOKS, told
            looks += 1
            time.sleep(0.1)

    def read(self) -> Sides:
        place, found = self._place, Sides(asyncio.run(self._rows()))
        for item in kubectl.get(KINDS, "-n", place.namespace)["items"]:
            found.objects.setdefault(item["kind"], []).append(item)
        for item in kubectl.get("jobs.batch,pods,secrets", "-A", "-l", f"{CLUSTER}={place.cluster_id}")["items"]:
            if item["metadata"]["namespace"] != place.namespace:
                found.objects.setdefault("Strayed", []).append(item)
        queues = kubectl.get("clusterqueues.kueue.x-k8s.io", "-l", f"{PROJECT}={place.project_id}")
        agents = kubectl.get("pods", "-n", place.agents, "-l", "app.kubernetes.io/component=agent")
        found.objects |= {"ClusterQueue": queues["items"], "Agent": agents["items"]}
        return found

    async def _rows(self) -> dict[str, list[Object]]:
        """All tables as of one moment."""
        found = {}
        connection = await asyncpg.connect(self._place.database_url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                for name, query in QUERIES.items():
                    values = [self._place.project_id, self._place.cluster_id][: 1 + ("$2" in query)]
                    found[name] = [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()
        return found

    def differences(self, sides: Sides) -> list[str]:
        """In words; empty when both sides agree, nothing is lost, nothing is doubled and nothing is left over."""
        found = [*_connection(sides), *_left_over(sides), *_queues(sides, self._place)]
        for row in sides.rows["jobs"]:
            found += _state(row, sides)
            found += _history(row, sides, again=row["id"] in self.resumed)
        return found


def _connection(sides: Sides) -> Iterator[str]:
    ready = [pod for pod in sides.of("Agent") if _is_ready(pod)]
    state = sides.rows["clusters"][0]["state"]
    if (state == "connected") != bool(ready):
        yield f"the cluster is {state}, {len(ready)} agents are ready"
    if len(sides.rows["links"]) != len(ready):
        yield f"{len(sides.rows['links'])} links are known of {len(ready)} agents"


def _state(row: Object, sides: Sides) -> Iterator[str]:
    """Where a job stands, on both sides."""
    job_id, state, wanted = row["id"], row["state"], row["desired"]
    jobs = [job for job in sides.of("Job") if _label(job, JOB) == job_id]
    if len(jobs) > 1:
        yield f"{job_id} has {len(jobs)} Jobs"
    shown = _shown(jobs[0], sides) if jobs else None
    if shown is None:
        if state not in (*FINAL, "paused"):
            yield f"{job_id} is {state} ({row['state_reason']}), and the cluster has no Job"
    elif state == "cancelled":
        # Its pod has its grace period, and nothing can bring it back.
        if shown != "ending":
            yield f"{job_id} is cancelled, and its Job is {shown}"
    elif shown != state:
        yield f"{job_id} is {state} ({row['state_reason']}), its Job is {shown}"
    if wanted != "run" and state != {"cancel": "cancelled", "pause": "paused"}[wanted]:
        yield f"{job_id} is {state}, and was asked to {wanted}"


def _shown(job: Object, sides: Sides) -> str:
    """What the cluster's objects say of a Job, in the platform's words."""
    if job["metadata"].get("deletionTimestamp"):
        return "ending"
    conditions = {row["type"] for row in job["status"].get("conditions", ()) if row["status"] == "True"}
    for condition, state in (("Complete", "succeeded"), ("Failed", "failed")):
        if condition in conditions:
            return state
    uid = job["metadata"]["uid"]
    live = [pod for pod in sides.of("Pod") if _owned_by(pod, uid) and pod["status"]["phase"] in ("Pending", "Running")]
    workload = next((found for found in sides.of("Workload") if _owned_by(found, uid)), None)
    if workload is not None and workload["spec"].get("active") is False:
        return "stopping" if live else "paused"
    if job["spec"].get("suspend"):
        return "stopping" if live else "queued"
    # One that has ended by itself is a run whose Job has not ended yet.
    ended = [pod for pod in sides.of("Pod") if _owned_by(pod, uid) and pod["status"]["phase"] == "Succeeded"]
    return "running" if ended or any(pod["status"]["phase"] == "Running" for pod in live) else "admitted"


def _history(row: Object, sides: Sides, *, again: bool) -> Iterator[str]:
    """What was told of a job: every step once and in order, every end once."""
    job_id, state = row["id"], row["state"]
    events = sides.about("events", job_id)
    steps = [json.loads(event["data"])["step"] for event in events if event["type"] == "metrics"]
    progress = json.loads(row["progress"] or "null") or {}
    last = progress.get("total_steps") if state == "succeeded" else progress.get("step")
    told = sorted(set(steps)) if again else steps
    if told != list(range(1, (last or 0) + 1)):
        yield f"{job_id} told the steps {steps} of {last}"
    said = Counter(event["message"] for event in events if event["type"] == "message")
    for end, messages in ONCE.items():
        for message in messages:
            count = sum(number for text, number in said.items() if text.startswith(message))
            if count != (state == end):
                yield f"{job_id} is {state}, and said {count} times: {message}"
    # A pod that begins, or one that goes on after a pause: never more often than pods have asked for a turn.
    attempts = max((run["attempt"] for run in sides.about("runs", job_id)), default=0)
    if said["Fine-tuning job started"] > max(1, attempts):
        told = [event["message"] for event in events if event["type"] == "message"]
        yield f"{job_id} said {said['Fine-tuning job started']} times that it has started, with {attempts} pods: {told}"
    if said["Files validated, the job is queued"] > 1 or said[f"Created fine-tuning job: {job_id}"] != 1:
        yield f"{job_id} began more than once"
    for step, number in Counter(found["step_number"] for found in sides.about("steps", job_id)).items():
        if number > 1:
            yield f"{job_id} has {number} checkpoints of step {step}"
    yield from _results(row, sides)


def _results(row: Object, sides: Sides) -> Iterator[str]:
    job_id, succeeded = row["id"], row["state"] == "succeeded"
    models = [model["name"] for model in sides.rows["models"] if json.loads(model["source"]).get("job") == job_id]
    if models != ([row["fine_tuned_model"]] if succeeded else []):
        yield f"{job_id} is {row['state']} with the models {models}"
    files = {found["id"] for found in sides.rows["files"]}
    if any(file not in files for file in json.loads(row["result_files"])):
        yield f"{job_id} names files that are not there"
    if row["state"] in FINAL and sides.about("waiting", job_id):
        yield f"{job_id} is {row['state']}, and {len(sides.about('waiting', job_id))} reports wait to be recorded"


def _left_over(sides: Sides) -> Iterator[str]:
    """What belongs to nothing."""
    known = {row["id"] for row in sides.rows["jobs"]}
    jobs = {job["metadata"]["uid"]: job for job in sides.of("Job")}
    for item in sides.of("Strayed"):
        yield f"{item['kind']} {item['metadata']['name']} lies in {item['metadata']['namespace']}"
    for job in jobs.values():
        if _label(job, JOB) not in known:
            yield f"Job {job['metadata']['name']} is nobody's"
    for kind in ("Pod", "Secret", "Workload"):
        for item in sides.of(kind):
            # What an administrator or a test has put there is not the platform's.
            if kind != "Workload" and _label(item, JOB) is None:
                continue
            if not any(_owned_by(item, uid) for uid in jobs):
                yield f"{kind} {item['metadata']['name']} has no Job"
    for uid, job in jobs.items():
        for kind in ("Secret", "Workload"):
            count = sum(_owned_by(item, uid) for item in sides.of(kind))
            # Kueue takes its Workload away with the Job's end at the earliest.
            if count != 1 and not job["metadata"].get("deletionTimestamp"):
                yield f"Job {job['metadata']['name']} has {count} {kind}s"


def _queues(sides: Sides, place: Place) -> Iterator[str]:
    """The project's queues, what they hold, and whom Kueue has let in."""
    used = bool(sides.of("Job"))
    for kind, name in (("LocalQueue", "perijove"), ("ClusterQueue", place.namespace)):
        names = [item["metadata"]["name"] for item in sides.of(kind)]
        if names != [name] and (used or names):
            yield f"the project has the {kind}s {names}"
    quota = json.loads(sides.rows["quotas"][0]["resources"]) if sides.rows["quotas"] else {}
    for queue in sides.of("ClusterQueue"):
        flavors = [flavor for group in queue["spec"]["resourceGroups"] for flavor in group["flavors"]]
        held = {row["name"]: row["nominalQuota"] for flavor in flavors for row in flavor["resources"]}
        if any(held.get(name) != quota.get(name, "0") for name in {*held, *quota}):
            yield f"the ClusterQueue holds {held}, the quota is {quota}"
    states = {row["id"]: row["state"] for row in sides.rows["jobs"]}
    for job in sides.of("Job"):
        workload = next((item for item in sides.of("Workload") if _owned_by(item, job["metadata"]["uid"])), None)
        admitted = workload is not None and _is_true(workload, "Admitted")
        state = states.get(_label(job, JOB) or "")
        if admitted != (state in ("admitted", "running")) and state not in FINAL:
            yield f"{_label(job, JOB)} is {state}, Kueue has {'' if admitted else 'not '}let it in"


def _label(item: Object, name: str) -> str | None:
    found: str | None = item["metadata"].get("labels", {}).get(name)
    return found


def _owned_by(item: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", ()))


def _is_ready(pod: Object) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and _is_true(pod, "Ready")


def _is_true(item: Object, condition: str) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(row["type"] == condition and row["status"] == "True" for row in conditions)
