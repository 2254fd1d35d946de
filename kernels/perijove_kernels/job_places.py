"""Where a job of any kind runs, or waits."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from openai import NotFoundError

from perijove_kernels.connection import shared_client
from perijove_kernels.listings import clusters

LOCAL = "local"
FINAL = ("succeeded", "failed", "cancelled")


def check_place(name: str) -> None:
    """Before anything is uploaded. Raises `LookupError` when there is no such cluster."""
    try:
        shared_client().get(f"/clusters/{quote(name, safe='')}", cast_to=object)
    except NotFoundError:
        known = ", ".join(row["name"] for row in clusters())
        raise LookupError(f"There is no cluster '{name}'. There is: {known}.") from None


def place_of(job: Mapping[str, Any]) -> str:
    """``2nd in the queue of gpu-1``, ``on gpu-1``; empty on the platform's own machine once it no longer waits."""
    cluster, position = job.get("cluster") or LOCAL, job.get("queue_position")
    if job.get("state") == "queued" and position is not None:
        return f"{_ordinal(position)} in the queue" + ("" if cluster == LOCAL else f" of {cluster}")
    return "" if cluster == LOCAL else f"on {cluster}"


def _ordinal(number: int) -> str:
    teen = 11 <= number % 100 <= 13
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
