"""Cells about clusters, against a real platform on which a cluster is registered whose agent has not come."""

from collections.abc import Iterator

import httpx
import perijove
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from openai.types.fine_tuning import FineTuningJob
from perijove_kernels.connection import shared_client
from perijove_kernels.fine_tuning import FineTune
from perijove_platform.discovery import Connection

ROWS = [{"prompt": f"What is {number} and {number}?", "completion": str(2 * number)} for number in range(12)]


@pytest.fixture
def api(platform: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("PERIJOVE_BASE_URL", platform.base_url)
    monkeypatch.setenv("PERIJOVE_API_KEY", platform.api_key)
    headers = {"Authorization": f"Bearer {platform.api_key}"}
    with httpx.Client(base_url=platform.base_url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def cluster(api: httpx.Client) -> Iterator[str]:
    """The name of a registered cluster."""
    made = api.post("/v1/clusters", json={"name": "cells"}).raise_for_status().json()
    yield made["name"]
    api.delete(f"/v1/clusters/{made['id']}", params={"force": True}).raise_for_status()


@pytest.fixture
def shell(api: httpx.Client) -> Iterator[InteractiveShell]:
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "perijove")
    yield shell
    shell.run_line_magic("unload_ext", "perijove")


def test_clusters_are_listed_this_machine_first(cluster: str) -> None:
    local, registered = perijove.clusters()
    assert (local["name"], local["state"], local["reason"]) == ("local", "connected", None)
    assert float(local["cpus"]) >= 1
    assert local["memory"].endswith(" GB")
    assert (registered["name"], registered["state"]) == (cluster, "registering")
    assert "waiting for its agent" in registered["reason"]
    assert registered["cpus"] is None
    assert "waiting for its agent" in perijove.clusters()._repr_html_()


def test_the_list_goes_on_after_its_first_page(api: httpx.Client) -> None:
    made = [api.post("/v1/clusters", json={"name": f"many-{number}"}).json() for number in range(101)]
    try:
        names = [row["name"] for row in perijove.clusters()]
        assert names[0] == "local"
        assert sorted(names[1:]) == sorted(found["name"] for found in made)
    finally:
        for found in made:
            api.delete(f"/v1/clusters/{found['id']}").raise_for_status()


def test_the_magic_lists_them(shell: InteractiveShell, cluster: str) -> None:
    shown = shell.run_line_magic("perijove", "clusters")
    assert [row["name"] for row in shown] == ["local", cluster]
    with pytest.raises(UsageError, match="clusters"):
        shell.run_line_magic("perijove", "cluster")


def test_a_cluster_that_is_not_there_is_named_before_anything_is_uploaded(cluster: str) -> None:
    before = {file.id for file in shared_client().files.list()}
    with pytest.raises(LookupError, match=f"There is no cluster 'nowhere'. There is: local, {cluster}."):
        perijove.fine_tune(ROWS, on="nowhere")
    assert {file.id for file in shared_client().files.list()} == before


def test_a_job_is_placed_on_the_cluster_that_is_named(api: httpx.Client, shell: InteractiveShell, cluster: str) -> None:
    run = perijove.fine_tune(ROWS, on="local", wait=False)
    assert run.job.model_extra is not None
    assert run.job.model_extra["cluster"] == "local"
    run.cancel()
    placed = perijove.fine_tune(ROWS, on=cluster, wait=False)
    try:
        assert placed.state == "queued"
        assert f"on {cluster}" in repr(placed)
        (row,) = [row for row in shell.run_line_magic("perijove", "jobs") if row["id"] == placed.id]
        assert (row["cluster"], row["state"]) == (cluster, "queued")
        assert {"reason", "place"} < row.keys()
    finally:
        placed.cancel()


@pytest.mark.parametrize(
    ("position", "cluster", "says"),
    [(2, "gpu-1", "queued · 2nd in the queue of gpu-1"), (11, "local", "queued · 11th in the queue (waiting")],
)
def test_a_job_that_waits_says_its_place(position: int, cluster: str, says: str) -> None:
    job = FineTuningJob.model_validate(
        {
            "id": "ftjob-1",
            "object": "fine_tuning.job",
            "created_at": 1,
            "hyperparameters": {},
            "model": "m",
            "organization_id": "o",
            "result_files": [],
            "seed": 1,
            "status": "queued",
            "training_file": "file-1",
            "state": "queued",
            "state_reason": "waiting for 2 × nvidia.com/gpu: 1 is free",
            "queue_position": position,
            "cluster": cluster,
        }
    )
    shown = FineTune(job)
    assert says in repr(shown)
    assert "2 × nvidia.com/gpu: 1 is free" in shown._repr_html_()
