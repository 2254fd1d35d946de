"""How a pod ended, from its status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from perijove_platform.clusters.quantities import parse
from perijove_platform.runner.contract import ExitCode
from perijove_platform.runtimes.kubernetes import words
from perijove_platform.runtimes.kubernetes.objects import Object, get, true_condition

CONTAINER = "job"


def eviction_of(pod: Object) -> str | None:
    """Why a pod was taken from its node; ``None`` when it was not."""
    target = true_condition(pod, "DisruptionTarget")
    if target is None:
        return None
    reason, message = str(target.get("reason") or ""), str(target.get("message") or "")
    if reason == "TerminationByKubelet":
        message = str(get(pod, "status", "message", default=message))
    return words.pod_eviction(reason, message)


def container_statuses(pod: Object) -> Iterator[Object]:
    yield from get(pod, "status", "initContainerStatuses", default=())
    yield from get(pod, "status", "containerStatuses", default=())


def exit_code(pod: Object) -> int | None:
    """Of the container that the job is; ``None`` while it has not ended."""
    for status in get(pod, "status", "containerStatuses", default=()):
        code = get(status, "state", "terminated", "exitCode")
        if code is not None and status.get("name") == CONTAINER:
            return int(code)
    return None


def pod_failure(pod: Object) -> tuple[str, str] | None:
    """In words, and the code; ``None`` when the pod does not tell."""
    for status in container_statuses(pod):
        ended = get(status, "state", "terminated")
        if ended is None or (not ended.get("exitCode") and ended.get("reason") != "OOMKilled"):
            continue
        told = _last_words(str(ended.get("message") or ""))
        if ended.get("reason") == "OOMKilled" or ended.get("exitCode") == ExitCode.OUT_OF_MEMORY:
            return _out_of_memory(pod, str(status.get("name")), told.peak), "out_of_memory"
        if told.exit is not None:
            return words.short(told.text) or words.exit_reason(int(ended.get("exitCode", 0)), ""), told.exit
        return words.exit_reason(int(ended.get("exitCode", 0)), told.text), "crashed"
    message = get(pod, "status", "message")
    return None if message is None else (words.short(str(message)), "job_failed")


class _LastWords(NamedTuple):
    """A container's termination message.

    Attributes:
        exit: the runner's own name for how it ended; ``None`` for any other program.
        peak: bytes of memory that it used at most.
    """

    text: str
    exit: str | None = None
    peak: int | None = None


def _last_words(message: str) -> _LastWords:
    """What the runner left (`runner.contract`), or for another program the end of its log."""
    try:
        told = json.loads(message)
    except ValueError:
        return _LastWords(message)
    if not isinstance(told, dict) or "memory_peak_bytes" not in told:
        return _LastWords(message)
    peak, exit = told["memory_peak_bytes"], told.get("exit")
    return _LastWords(
        str(told.get("message") or ""),
        exit if isinstance(exit, str) else None,
        peak if isinstance(peak, int) else None,
    )


def _out_of_memory(pod: Object, container: str, peak: int | None) -> str:
    told = []
    for spec in get(pod, "spec", "containers", default=()):
        limit = get(spec, "resources", "limits", "memory")
        if spec.get("name") == container and limit is not None:
            told.append(f"limit {words.size(parse(limit).value)}")
    if peak is not None:
        told.append(f"peak {words.size(peak)}")
    return f"out of memory ({', '.join(told)})" if told else "out of memory"
