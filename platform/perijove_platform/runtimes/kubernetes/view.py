"""What a cluster shows of our jobs, put together from its watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.manifests import CLUSTER, JOB, MANAGED_BY, cluster_queue_name
from perijove_platform.runtimes.kubernetes.objects import (
    EVENTS,
    JOBS,
    PODS,
    WORKLOADS,
    Object,
    condition,
    created,
    get,
    label_of,
    namespace_of,
    owner_uid,
    selector,
    true_condition,
    uid_of,
)
from perijove_platform.runtimes.kubernetes.pod_ends import eviction_of
from perijove_platform.runtimes.kubernetes.queues import ClusterQueues
from perijove_platform.runtimes.kubernetes.states import Seen, requests
from perijove_platform.runtimes.kubernetes.watch import Change, Key, Reflector, key_of

_WARNINGS = (
    {"involvedObject.kind": "Job", "reason": "FailedCreate", "type": "Warning"},
    {"involvedObject.kind": "Pod", "reason": "FailedMount", "type": "Warning"},
)
_PROJECT_LABEL = "perijove.dev/project"


class _Waiting(NamedTuple):
    """The workloads that wait: their places, and by queue and shape one of which Kueue says why."""

    places: Mapping[Key, int]
    explained: Mapping[tuple[tuple[str, str], str], Object]


class JobsView:
    """The Jobs that this platform made in a cluster, with their workloads, pods and places in the queue.

    Args:
        on_job: called with a job's id when something that its state depends on has changed.
    """

    def __init__(
        self, client: KubernetesClient, cluster_id: str, queues: ClusterQueues, on_job: Callable[[str], None]
    ) -> None:
        self._queues = queues
        self._on_job = on_job
        ours = selector({MANAGED_BY: "perijove", CLUSTER: cluster_id})
        self._jobs = Reflector(client, JOBS, labels=ours, keep=kept_job, on_change=self._on_job_object)
        self._pods = Reflector(client, PODS, labels=ours, keep=kept_pod, on_change=self._on_pod)
        self.workloads = Reflector(client, WORKLOADS, keep=kept_workload, on_change=self._on_workload)
        self._events = [
            Reflector(client, EVENTS, fields=selector(fields), keep=_kept_event, on_change=self._on_event)
            for fields in _WARNINGS
        ]
        self._job_of_uid: dict[str, str] = {}
        self._key_of_job: dict[str, Key] = {}
        self._pods_of_job: dict[str, dict[Key, Object]] = {}
        self._workload_of_uid: dict[str, Key] = {}
        self._warnings: dict[str, str] = {}
        self._last_begun: dict[str, Object] = {}
        self._expected_ends: dict[str, float] = {}
        self._waiting_now: _Waiting | None = None
        self._holding_now: dict[tuple[str, str], list[str]] | None = None

    def reflectors(self) -> Sequence[Reflector]:
        return (self._jobs, self._pods, self.workloads, *self._events)

    @property
    def is_synced(self) -> bool:
        return self._jobs.synced.is_set()

    @property
    def essential(self) -> Sequence[Reflector]:
        """Without which nothing can be said of a job; warnings may come whenever they come."""
        return (self._jobs, self._pods, self.workloads)

    async def synced(self) -> None:
        """Until what is shown is what there is."""
        await asyncio.gather(*(reflector.synced.wait() for reflector in self.essential))

    def __iter__(self) -> Iterator[str]:
        """The ids of all jobs that have a Job."""
        return iter(list(self._key_of_job))

    def job(self, job_id: str) -> Object | None:
        key = self._key_of_job.get(job_id)
        return None if key is None else self._jobs.objects.get(key)

    def workload(self, job_id: str) -> Object | None:
        job = self.job(job_id)
        key = None if job is None else self._workload_of_uid.get(uid_of(job))
        return None if key is None else self.workloads.objects.get(key)

    def pods(self, job_id: str) -> list[Object]:
        """Of all attempts that are still there, the oldest first."""
        return sorted(self._pods_of_job.get(job_id, {}).values(), key=created)

    def seen(self, job_id: str) -> Seen | None:
        """What `states.standing` needs; ``None`` for a job that has no Job."""
        job = self.job(job_id)
        if job is None:
            return None
        workload = self.workload(job_id)
        project = label_of(job, _PROJECT_LABEL) or ""
        return Seen(
            job=job,
            workload=workload,
            # Those of a Job that was deleted by hand go later than it does.
            pods=[pod for pod in self.pods(job_id) if owner_uid(pod, JOBS.kind) == uid_of(job)],
            position=None if workload is None else self._place(workload),
            alike=None if workload is None else self._alike(workload),
            warnings=self._warnings,
            eviction=self._eviction(job_id, job),
            queue=self._queues.cluster_queues.find("", cluster_queue_name(project)),
            job_of=lambda uid: self._job_in(project, uid),
            next_release=lambda resource: self._next_release(job, resource),
            kueue=not self.workloads.absent,
            takes=self._queues.takes,
        )

    def _eviction(self, job_id: str, job: Object) -> str | None:
        """Why the last of its pods that has begun was evicted, even when that has gone; not before it was resumed."""
        pod = self._last_begun.get(job_id, {})
        since = get(job, "status", "startTime")
        if since is None or owner_uid(pod, JOBS.kind) != uid_of(job):
            return None
        when = get(condition(pod, "DisruptionTarget"), "lastTransitionTime", default=created(pod))
        return eviction_of(pod) if when >= since else None

    def expect_end(self, job_id: str, at: float | None) -> None:
        """When its program expects to end, by the event loop's clock; ``None`` forgets it."""
        known = job_id in self._expected_ends
        if at is None:
            self._expected_ends.pop(job_id, None)
        else:
            self._expected_ends[job_id] = at
        # Estimates come with every step, and are worth another look at all that wait only when they are news.
        if known != (at is not None) and (key := self._key_of_job.get(job_id)) is not None:
            self.queue_changed(key.namespace)

    def _next_release(self, job: Object, resource: str) -> str | None:
        """Of the same project: nobody is told about another one's jobs.

        Where no program says when it ends, there is one answer only if one job alone has the resource.
        """
        found = self._holders().get((namespace_of(job) or "", resource), ())
        known = [(self._expected_ends[job_id], job_id) for job_id in found if job_id in self._expected_ends]
        if known:
            return min(known)[1]
        return found[0] if len(found) == 1 else None

    def _holders(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """The jobs that have quota, by namespace and resource."""
        if self._holding_now is None:
            self._holding_now = {}
            for job_id, key in self._key_of_job.items():
                workload = self.workload(job_id)
                if (
                    true_condition(workload, "QuotaReserved") is None
                    or true_condition(workload, "Finished") is not None
                ):
                    continue
                for resource in requests(workload, self._jobs.objects[key]):
                    self._holding_now.setdefault((key.namespace, resource), []).append(job_id)
        return self._holding_now

    def queue_changed(self, namespace: str | None) -> None:
        """Every job that waits in a namespace, or anywhere, may have another reason or place now."""
        self._waiting_now = None
        for job_id, key in self._key_of_job.items():
            if namespace is None or key.namespace == namespace:
                workload = self.workload(job_id)
                if workload is not None and _waits(workload):
                    self._on_job(job_id)

    def _job_in(self, project: str, uid: str) -> str | None:
        """The id of a job, if it is the project's: nobody is told about another one's."""
        job_id = self._job_of_uid.get(uid)
        job = None if job_id is None else self.job(job_id)
        return job_id if job is not None and label_of(job, _PROJECT_LABEL) == project else None

    def _place(self, workload: Object) -> int | None:
        """Kueue's own order: by priority, then by age."""
        return self._waiting().places.get(key_of(workload))

    def _alike(self, workload: Object) -> Object | None:
        """A workload that asks for the same in the same queue, of which Kueue says why it waits.

        Kueue looks at one of those only, and says nothing of the others.
        """
        if condition(workload, "QuotaReserved") is not None:
            return None
        return self._waiting().explained.get((_queue_of(workload), workload["shape"]))

    def _waiting(self) -> _Waiting:
        if self._waiting_now is None:
            queues: dict[tuple[str, str], list[Object]] = {}
            explained: dict[tuple[tuple[str, str], str], Object] = {}
            for found in filter(_waits, self.workloads):
                queues.setdefault(_queue_of(found), []).append(found)
                if condition(found, "QuotaReserved") is not None:
                    explained[_queue_of(found), found["shape"]] = found
            places = {
                key_of(found): place
                for waiting in queues.values()
                for place, found in enumerate(sorted(waiting, key=_order), start=1)
            }
            self._waiting_now = _Waiting(places, explained)
        return self._waiting_now

    def _on_job_object(self, change: Change) -> None:
        self._holding_now = None
        item = change.new or change.old or {}
        job_id = label_of(item, JOB)
        if job_id is None:
            return
        if change.new is None:
            self._job_of_uid.pop(uid_of(item), None)
            if self._key_of_job.get(job_id) == change.key:
                del self._key_of_job[job_id]
            self._last_begun.pop(job_id, None)
        else:
            self._job_of_uid[uid_of(item)] = job_id
            self._key_of_job[job_id] = change.key
        self._on_job(job_id)

    def _on_pod(self, change: Change) -> None:
        item = change.new or change.old or {}
        job_id = label_of(item, JOB)
        if job_id is None:
            return
        pods = self._pods_of_job.setdefault(job_id, {})
        if change.new is None:
            pods.pop(change.key, None)
            if not pods:
                del self._pods_of_job[job_id]
                if job_id not in self._key_of_job:
                    self._last_begun.pop(job_id, None)
        else:
            pods[change.key] = item
            # Lists have no order, and an old pod may be told of long after the next one has begun.
            if _has_begun(item) and created(item) >= created(self._last_begun.get(job_id, {})):
                self._last_begun[job_id] = item
        self._on_job(job_id)

    def _on_workload(self, change: Change) -> None:
        self._holding_now = None
        item = change.new or change.old or {}
        uid = owner_uid(item, "Job")
        if uid is not None:
            if change.new is None:
                if self._workload_of_uid.get(uid) == change.key:
                    del self._workload_of_uid[uid]
            else:
                self._workload_of_uid[uid] = change.key
            if (job_id := self._job_of_uid.get(uid)) is not None:
                self._on_job(job_id)
        if _queue_view(change.old) != _queue_view(change.new):
            self.queue_changed(change.key.namespace)

    def _on_event(self, change: Change) -> None:
        item = change.new or change.old or {}
        uid = str(get(item, "involvedObject", "uid", default=""))
        if change.new is None:
            self._warnings.pop(uid, None)
            return
        self._warnings[uid] = str(get(item, "message", default=""))
        involved = Key(str(get(item, "involvedObject", "namespace")), str(get(item, "involvedObject", "name")))
        pod = self._pods.objects.get(involved)
        job_id = self._job_of_uid.get(uid) if pod is None else label_of(pod, JOB)
        if job_id is not None:
            self._on_job(job_id)


def _waits(workload: Object) -> bool:
    """Whether it stands in its queue."""
    return (
        get(workload, "spec", "active", default=True) is not False
        and true_condition(workload, "QuotaReserved", "Finished") is None
    )


def _order(workload: Object) -> tuple[int, str, str]:
    since = created(workload)
    evicted = true_condition(workload, "Evicted")
    if evicted is not None and evicted.get("reason") in ("PodsReadyTimeout", "AdmissionCheck"):
        since = str(evicted.get("lastTransitionTime") or since)
    return -int(get(workload, "spec", "priority", default=0)), since, uid_of(workload)


def _queue_of(workload: Object) -> tuple[str, str]:
    return namespace_of(workload) or "", str(get(workload, "spec", "queueName", default=""))


def _queue_view(workload: Object | None) -> object:
    """What other workloads' places and reasons depend on."""
    if workload is None or not _waits(workload):
        return None
    return _order(workload), get(condition(workload, "QuotaReserved"), "message")


# What is kept of each object: a thousand jobs are a few megabytes then.


def kept_job(job: Object) -> Object:
    template = get(job, "spec", "template", "spec", default={})
    spec = {name: value for name, value in get(job, "spec", default={}).items() if name != "template"}
    spec["template"] = {"spec": {"containers": _containers(template)}}
    return {"metadata": _metadata(job), "spec": spec, "status": get(job, "status", default={})}


def kept_pod(pod: Object) -> Object:
    told = get(pod, "spec", default={})
    spec = {name: get(told, name) for name in ("nodeName", "nodeSelector", "tolerations")}
    spec["containers"] = _containers(told)
    if begun := get(told, "initContainers"):
        spec["initContainers"] = _containers({"containers": begun})
    return {"metadata": _metadata(pod), "spec": spec, "status": get(pod, "status", default={})}


def kept_workload(workload: Object) -> Object:
    spec = {name: value for name, value in get(workload, "spec", default={}).items() if name != "podSets"}
    spec["podSets"] = [
        {
            "name": get(pod_set, "name"),
            "count": get(pod_set, "count"),
            "template": {"spec": {"containers": _containers(get(pod_set, "template", "spec", default={}))}},
        }
        for pod_set in get(workload, "spec", "podSets", default=())
    ]
    told = get(workload, "status", default={})
    status = {
        name: told[name] for name in ("conditions", "admission", "admissionChecks", "requeueState") if name in told
    }
    shape = json.dumps(spec["podSets"], sort_keys=True)
    return {"metadata": _metadata(workload), "spec": spec, "status": status, "shape": shape}


def _kept_event(event: Object) -> Object:
    return {"metadata": _metadata(event), **{name: get(event, name) for name in ("involvedObject", "message")}}


def _metadata(item: Object) -> Mapping[str, Any]:
    """Without the record of who set which field, which is longer than all the rest."""
    return {name: value for name, value in get(item, "metadata", default={}).items() if name != "managedFields"}


def _containers(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {name: get(container, name, default={}) for name in ("name", "image", "resources")}
        for container in get(spec, "containers", default=())
    ]


def _has_begun(pod: Object) -> bool:
    """Or never will: it was evicted before."""
    return get(pod, "status", "phase", default="Pending") != "Pending" or eviction_of(pod) is not None


def container_ended(pod: Object, container: str) -> bool:
    """Whether nothing more comes into its log."""
    if get(pod, "status", "phase") in ("Succeeded", "Failed"):
        return True
    return any(
        status.get("name") == container and get(status, "state", "terminated") is not None
        for status in get(pod, "status", "containerStatuses", default=())
    )


def container_begun(pod: Object, container: str) -> bool:
    return any(
        status.get("name") == container
        and (get(status, "state", "running") or get(status, "state", "terminated")) is not None
        for status in get(pod, "status", "containerStatuses", default=())
    )
