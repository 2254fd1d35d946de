"""Kubernetes' and Kueue's words in those of a person who trains models."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping

from perijove_platform.clusters.quantities import NANO, Quantity, QuantityError, parse
from perijove_platform.legible import legible

_SHOWN = 400
_UNUSED = re.compile(
    r"insufficient unused quota for (?P<what>\S+) in flavor (?P<flavor>\S+), (?P<more>\S+) more needed"
)
_TOO_MUCH = re.compile(
    r"insufficient quota for (?P<what>\S+) in flavor (?P<flavor>\S+), previously considered podsets requests "
    r"\((?P<before>[^)]*)\) \+ current podset request \((?P<asked>[^)]*)\) > maximum capacity \((?P<most>[^)]*)\)"
)
_UNCOVERED = re.compile(r"resource (?P<what>\S+) unavailable in ClusterQueue")
_PREEMPTING = re.compile(r"Pending the preemption of (?P<count>\d+) workload")
_PREEMPTOR = re.compile(r"JobUID: (?P<uid>[^)\s]+)\)")
_INACTIVE = re.compile(r"(?P<kind>LocalQueue|ClusterQueue) (?P<name>\S+) (?P<what>is inactive|doesn't exist|not found)")

_EVICTIONS: Mapping[str, str] = {
    "EvictionByEvictionAPI": "its node is being drained",
    "PreemptionByScheduler": "its place on the node was needed by a pod of higher priority",
    "DeletionByTaintManager": "its node is not fit for it any more",
    "DeletionByPodGC": "its node has gone",
}
_KUEUE_EVICTIONS: Mapping[str, str] = {
    "PodsReadyTimeout": "its pods were not ready in time",
    "AdmissionCheck": "a check of the queue failed",
    "ClusterQueueStopped": "the queue was stopped by an administrator",
    "LocalQueueStopped": "the project's queue was stopped by an administrator",
    "NodeFailures": "its node failed",
    "FlavorMigration": "it moves to better hardware",
}
GOES_ON = "goes on from its last checkpoint"
BEGINS_AGAIN = "begins again"


def amount(resource: str, quantity: Quantity) -> str:
    """``2 × nvidia.com/gpu``, ``1.5 CPUs``, ``4 GiB of memory``."""
    if resource == "cpu":
        return f"{_number(quantity)} {'CPU' if quantity.nano == NANO else 'CPUs'}"
    if resource == "memory":
        return f"{size(quantity.value)} of memory"
    return f"{_number(quantity)} × {resource}"


def size(value: int) -> str:
    """Bytes as ``3.9 GiB``."""
    shown = float(value)
    units = ["TiB", "GiB", "MiB", "KiB", "bytes"]
    while abs(shown) >= 1024 and len(units) > 1:
        shown /= 1024
        units.pop()
    return f"{shown:.3g} {units[-1]}" if shown < 100 else f"{shown:.0f} {units[-1]}"


def duration(seconds: int) -> str:
    """``2 h``, ``90 min``, ``45 s``."""
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds // 60} min"
    return f"{seconds} s"


def short(text: str) -> str:
    """One line that fits a table."""
    line = legible(" ".join(text.split()))
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def quota_reason(message: str, asked: Mapping[str, Quantity], next_release: Callable[[str], str | None]) -> str:
    """Why Kueue does not reserve quota.

    Args:
        message: of the condition `QuotaReserved` that is false.
        asked: what the job asks for in all, by resource name.
        next_release: the job that is expected to give up some of a resource first.
    """
    if (found := _PREEMPTING.search(message)) is not None:
        jobs = "1 job" if found["count"] == "1" else f"{found['count']} jobs"
        return f"waiting for {jobs} of lower priority to stop"
    if (found := _UNUSED.search(message)) is not None:
        waiting = _waiting(found["what"], found["more"], asked, message)
        job = next_release(found["what"])
        return waiting if job is None else f"{waiting}, next release by job {job}"
    if (found := _TOO_MUCH.search(message)) is not None:
        return _too_much(found["what"], found["asked"], found["most"], message)
    if (found := _UNCOVERED.search(message)) is not None:
        return f"the project has no quota for {found['what']} in this cluster; ask an administrator for some"
    if (found := _INACTIVE.search(message)) is not None:
        if found["what"] == "is inactive":
            return f"the queue {found['name']} admits nothing at the moment"
        return f"the queue {found['name']} is missing in the cluster"
    return short(message) or "waiting for quota"


def _waiting(what: str, more: str, asked: Mapping[str, Quantity], message: str) -> str:
    try:
        missing = parse(more)
    except QuantityError:
        return short(message)
    wanted = asked.get(what, missing)
    free = wanted - missing
    if free.nano <= 0:
        return f"waiting for {amount(what, wanted)}: none is free"
    return f"waiting for {amount(what, wanted)}: {_free(what, free)}"


def _free(what: str, free: Quantity) -> str:
    verb = "is" if free.nano == NANO or what == "memory" else "are"
    return f"{size(free.value) if what == 'memory' else _number(free)} {verb} free"


def _too_much(what: str, asked: str, most: str, message: str) -> str:
    try:
        wanted, limit = parse(asked), parse(most)
    except QuantityError:
        return short(message)
    if not limit:
        return f"asks for {amount(what, wanted)}, and the project may use none in this cluster"
    return f"asks for {amount(what, wanted)}, and the project may use {amount(what, limit)} at most; ask for less"


def preemptor_uid(message: str) -> str | None:
    """Of the Job for which Kueue preempted this one."""
    found = _PREEMPTOR.search(message)
    return None if found is None or found["uid"] == "UNKNOWN" else found["uid"]


def kueue_eviction(reason: str, message: str) -> str:
    """Why Kueue took the quota back, from the condition `Evicted`."""
    return f"evicted: {_KUEUE_EVICTIONS.get(reason) or short(message)}"


def pod_eviction(reason: str, message: str) -> str:
    """Why a pod was taken from its node, from the condition `DisruptionTarget`."""
    return f"evicted: {_EVICTIONS.get(reason) or short(message).rstrip('. ')}"


def image_problem(reason: str, message: str, image: str) -> str:
    """Why a container waits for its image."""
    if reason == "InvalidImageName":
        return f"image cannot be pulled: '{image}' is not the name of an image"
    if reason == "ErrImageNeverPull":
        return f"image cannot be pulled: {image} is not on the node, and it may not be pulled"
    message = message.rpartition("ErrImagePull: ")[2]  # between two attempts the last one's error is told again
    lower = message.lower()
    for sign, told in (
        ("not found", "there is no such image"),
        ("unauthorized", "the registry does not let the cluster have it"),
        ("denied", "the registry does not let the cluster have it"),
        ("no such host", "the registry cannot be found"),
        ("i/o timeout", "the registry does not answer"),
        ("connection refused", "the registry does not answer"),
        ("no space left", "the node's disk is full"),
    ):
        if sign in lower:
            return f"image cannot be pulled: {image}: {told}"
    return f"image cannot be pulled: {short(message) or image}"


def unschedulable(message: str) -> str:
    """From the condition `PodScheduled` that is false."""
    first = message.partition(" preemption:")[0].rstrip(". ")
    return f"unschedulable: {short(first)}"


def exit_reason(code: int, message: str) -> str:
    """How a program ended that was not killed for its memory.

    Args:
        message: its last words, of which the last line is shown.
    """
    if code > 128 and (name := _SIGNALS.get(code - 128)) is not None:
        how = f"the program was ended by {name}"
    else:
        how = f"the program ended with exit code {code}"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return f"{how}: {short(lines[-1])}" if lines else how


def _number(quantity: Quantity) -> str:
    return f"{quantity.nano / NANO:g}" if not quantity.whole else str(quantity.value)


_SIGNALS: Mapping[int, str] = {number.value: number.name for number in signal.Signals}
