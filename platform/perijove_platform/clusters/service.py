"""Which clusters there are. Those of the composition root: a table of clusters comes with the first that joins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

from perijove_platform.clusters.schemas import Cluster, ClusterCapacity
from perijove_platform.pagination import Page, page
from perijove_platform.runtimes import base


class ClustersService:
    """Knows the clusters that this platform uses."""

    def __init__(self, clusters: Sequence[base.Cluster]) -> None:
        self._clusters = clusters

    async def list_clusters(self) -> Page[Cluster]:
        return page(list(await asyncio.gather(*map(_public, self._clusters))), False)


async def _public(cluster: base.Cluster) -> Cluster:
    return Cluster(id=cluster.name, capacity=ClusterCapacity(**asdict(await cluster.capacity())))
