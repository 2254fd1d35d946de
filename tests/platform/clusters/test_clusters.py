"""`/v1/clusters` of a laptop."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from perijove_platform.clusters.service import ClustersService
from perijove_platform.runtimes.local.cluster import LocalCluster, local_supervisor
from perijove_platform.settings import Settings


async def test_local_capacity(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    jobs: Any = SimpleNamespace()  # capacity asks no job
    cluster = LocalCluster(settings, local_supervisor(settings), jobs)
    (local,) = (await ClustersService([cluster]).list_clusters()).data
    assert (local.id, local.state) == ("local", "connected")
    assert local.capacity.cpus >= 1
    assert 0 < local.capacity.memory_free_bytes <= local.capacity.memory_bytes
    assert local.capacity.disk_free_bytes > 0
