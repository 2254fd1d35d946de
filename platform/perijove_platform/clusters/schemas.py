"""Clusters on the wire."""

from __future__ import annotations

from typing import Literal

from perijove_platform.schemas import Response


class ClusterCapacity(Response):
    """What the place has and what is free of it; memory and disk in bytes."""

    cpus: int
    memory_bytes: int
    memory_free_bytes: int
    gpus: int
    gpus_free: int
    disk_free_bytes: int


class Cluster(Response):
    id: str
    object: Literal["cluster"] = "cluster"
    state: Literal["connected"] = "connected"
    capacity: ClusterCapacity
