"""Faults of a cluster's parts, on the real test bed: one platform with its agent for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_cluster import Cluster
from world import World, made

SECONDS = 600


def _is_ours(item: pytest.Item) -> bool:
    return item.path.parent == Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in filter(_is_ours, items):
        item.add_marker(pytest.mark.cluster)
        item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="package")
def whole_world(joinable_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with made(joinable_cluster, tmp_path_factory.mktemp("faults")) as world:
        yield world


@pytest.fixture
def world(whole_world: World) -> Iterator[World]:
    """Shared; whatever a test leaves of its jobs is cancelled, and the truth is asked for once more."""
    yield whole_world
    whole_world.cancel_all()
    whole_world.truth.check(seconds=30)
    whole_world.events.check_nothing_lost()
