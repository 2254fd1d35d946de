"""What is set aside for projects, over HTTP on both databases."""

from typing import Any

import httpx
from perijove_platform.clusters.quotas import ProjectQuota
from perijove_platform.clusters.service import ClustersService

URL = "/v1/clusters/gpu/quotas/proj-local"


async def test_a_quota_is_set_read_and_cleared(
    client: httpx.AsyncClient, create: Any, events: Any, service: ClustersService
) -> None:
    cluster = await create(client)
    assert (await client.get(URL)).json()["error"]["code"] == "quota_not_set"
    assert await service.quota_of(cluster["id"], "proj-local") is None

    body = {"resources": {"cpu": 8, "memory": "32768Mi", "nvidia.com/gpu": "2", "example.com/x": 0}}
    put = (await client.put(URL, json=body)).json()
    assert put["resources"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2", "example.com/x": "0"}
    assert (put["cohort"], put["project_id"], put["cluster_id"]) == ("perijove-org-local", "proj-local", cluster["id"])
    assert put["updated_by"] == "user-local"
    assert (await client.get(URL)).json() == put
    assert (await client.get("/v1/clusters/gpu/quotas")).json()["data"] == [put]

    alone = (await client.put(URL, json={"resources": {"cpu": "500m"}, "cohort": None})).json()
    assert (alone["resources"], alone["cohort"]) == ({"cpu": "500m"}, None)
    assert await service.quota_of(cluster["id"], "proj-local") == ProjectQuota(resources={"cpu": "500m"}, cohort=None)
    named = (await client.put(URL, json={"resources": {"cpu": 0.5}, "cohort": "research.eu"})).json()
    assert (named["resources"], named["cohort"]) == ({"cpu": "500m"}, "research.eu")

    assert (await client.delete(URL)).json()["deleted"] is True
    assert (await client.get(URL)).status_code == 404
    assert (await client.delete(URL)).status_code == 404
    told = [event for event in await events() if event.type.startswith("cluster.quota")]
    assert [event.type.rpartition(".")[2] for event in told] == ["updated", "updated", "updated", "deleted"]
    assert {(event.object_id, event.project_id) for event in told} == {(cluster["id"], "proj-local")}


REFUSED: list[tuple[Any, str]] = [
    ({"resources": {}}, "1 to 64 resources"),
    ({"resources": {f"example.com/r{number}": 1 for number in range(65)}}, "1 to 64 resources"),
    ({"resources": {"cpu": "8 cores"}}, "not a Kubernetes quantity"),
    ({"resources": {"cpu": "-1"}}, "between 0 and"),
    ({"resources": {"memory": "1e30"}}, "between 0 and"),
    ({"resources": {"cpu": None}}, "resources"),
    ({"resources": {"nvidia.com/gpu": "500m"}}, "whole numbers"),
    ({"resources": {"nvidia com/gpu": "1"}}, "not a resource's name"),
    ({"resources": {"/gpu": "1"}}, "not a resource's name"),
    ({"resources": {"NVIDIA.com/gpu": "1"}}, "not a resource's name"),
    ({"resources": {"": "1"}}, "not a resource's name"),
    ({"resources": {"x" * 64: "1"}}, "not a resource's name"),
    ({"resources": {"cpu": "1"}, "cohort": "Not A Name"}, "a cohort has a DNS name"),
    ({"resources": {"cpu": "1"}, "cohort": ""}, "a cohort has a DNS name"),
    ({"resources": ["cpu"]}, "resources"),
    ({"cohort": None}, "resources"),
]


async def test_what_kubernetes_would_refuse(client: httpx.AsyncClient, create: Any) -> None:
    await create(client)
    for body, says in REFUSED:
        refused = await client.put(URL, json=body)
        assert refused.status_code == 400, body
        assert says in refused.json()["error"]["message"]
    assert (await client.get(URL)).status_code == 404


async def test_only_projects_of_the_organization_have_one(caller: Any, create: Any) -> None:
    ours = caller()
    await create(ours)
    body = {"resources": {"cpu": "1"}}
    unknown = await ours.put("/v1/clusters/gpu/quotas/proj-nope", json=body)
    assert unknown.status_code == 404
    assert "proj-nope" in unknown.json()["error"]["message"]
    theirs = caller("org-b", "proj-b")
    await create(theirs)
    assert (await theirs.put("/v1/clusters/gpu/quotas/proj-local", json=body)).status_code == 404
    reader = caller(scope="clusters.read")
    assert (await reader.put(URL, json=body)).status_code == 403


async def test_quotas_go_with_their_cluster(client: httpx.AsyncClient, create: Any) -> None:
    await create(client)
    await client.put(URL, json={"resources": {"cpu": "1"}})
    await client.delete("/v1/clusters/gpu")
    await create(client)
    assert (await client.get(URL)).status_code == 404


async def test_pages_of_quotas(app: Any, client: httpx.AsyncClient, create: Any) -> None:
    from perijove_platform.users.store import ProjectRow

    await create(client)
    projects = [f"proj-{number}" for number in range(5)]
    async with app.state.database.write() as session:
        session.add_all([ProjectRow(id=name, organization_id="org-local", name=name) for name in projects])
    for name in reversed(projects):
        assert (await client.put(f"/v1/clusters/gpu/quotas/{name}", json={"resources": {"cpu": 1}})).status_code == 200
    found: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = (await client.get("/v1/clusters/gpu/quotas", params=params)).json()
        found += [quota["project_id"] for quota in page["data"]]
        if not page["has_more"]:
            break
        params["after"] = page["last_id"]
    assert found == projects
