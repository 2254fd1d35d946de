"""`/v1/clusters`: the platform's own machine and the organization's clusters, over HTTP on both databases."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI


async def test_the_platforms_own_machine(client: httpx.AsyncClient) -> None:
    (local,) = (await client.get("/v1/clusters")).json()["data"]
    assert (local["id"], local["name"], local["kind"], local["state"]) == ("local", "local", "local", "connected")
    capacity = local["capacity"]
    assert capacity["cpus"] >= 1
    assert 0 < capacity["memory_free_bytes"] <= capacity["memory_bytes"]
    assert capacity["disk_free_bytes"] > 0
    assert (await client.get("/v1/clusters/local")).json()["node_list"] == []


async def test_the_platforms_own_machine_is_not_administered(client: httpx.AsyncClient) -> None:
    requests: list[tuple[str, str, Any]] = [
        ("PATCH", "", {"description": "x"}),
        ("DELETE", "", None),
        ("POST", "/registration_token", {}),
        ("DELETE", "/credential", None),
        ("GET", "/quotas", None),
        ("PUT", "/quotas/proj-local", {"resources": {"cpu": "1"}}),
    ]
    for method, path, body in requests:
        refused = await client.request(method, f"/v1/clusters/local{path}", json=body)
        assert refused.status_code == 409, path
        assert refused.json()["error"]["code"] == "local_cluster"


async def test_a_cluster_from_its_creation_to_its_end(client: httpx.AsyncClient, create: Any, events: Any) -> None:
    made = await create(client, "gpu-1", description="Rack 7")
    token = made["registration_token"]
    assert token["token"].startswith("pjreg-")
    assert token["expires_at"] == pytest.approx(made["created_at"] + 86_400, abs=60)
    assert (made["state"], made["kind"], made["created_by"]) == ("registering", "kubernetes", "user-local")
    assert "waiting for its agent" in made["state_reason"]

    by_id = (await client.get(f"/v1/clusters/{made['id']}")).json()
    assert by_id == (await client.get("/v1/clusters/gpu-1")).json()
    assert by_id["registration_token"]["state"] == "valid"
    assert by_id["credential"] is None
    assert token["token"] not in str(by_id)

    changed = await client.patch("/v1/clusters/gpu-1", json={"description": None})
    assert changed.json()["description"] is None
    assert (await client.delete("/v1/clusters/gpu-1")).json() == {
        "id": made["id"],
        "object": "cluster",
        "deleted": True,
    }
    assert (await client.get(f"/v1/clusters/{made['id']}")).status_code == 404

    told = [(event.type, event.object_id) for event in await events() if event.type.startswith("cluster")]
    assert told == [(f"cluster.{what}", made["id"]) for what in ("created", "updated", "deleted")]
    assert token["token"] not in str([event.data for event in await events()])


async def test_no_answer_with_a_secret_is_kept(client: httpx.AsyncClient, create: Any) -> None:
    headers = {"Idempotency-Key": "once"}
    made = await client.post("/v1/clusters", json={"name": "a"}, headers=headers)
    assert made.headers["cache-control"] == "no-store"
    again = await client.post("/v1/clusters", json={"name": "a"}, headers=headers)
    assert again.status_code == 409
    assert "idempotent-replayed" not in again.headers


async def test_names_are_dns_labels(client: httpx.AsyncClient, create: Any) -> None:
    for name in ("", "Gpu", "a_b", "-a", "a-", "a.b", "a" * 64, "local", "gpu 1", "ä", "a\n", "cluster_01"):
        refused = await client.post("/v1/clusters", json={"name": name})
        assert refused.status_code == 400, name
        assert refused.json()["error"]["param"] == "name"
    for name in ("a", "7", "a" * 63, "a--b", "eu-west-1"):
        assert (await create(client, name))["name"] == name


async def test_a_name_is_taken_once_in_an_organization(caller: Any, create: Any) -> None:
    ours, theirs = caller("org-a", "proj-a"), caller("org-b", "proj-b")
    await create(ours)
    refused = await ours.post("/v1/clusters", json={"name": "gpu"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (409, "name")
    await create(theirs)


async def test_clusters_belong_to_their_organization(caller: Any, create: Any) -> None:
    ours, colleague, theirs = caller("org-a", "proj-a"), caller("org-a", "proj-b"), caller("org-b", "proj-c")
    made = await create(ours)
    url = f"/v1/clusters/{made['id']}"
    assert (await colleague.get(url)).status_code == 200
    for method, path in [
        ("GET", url),
        ("DELETE", url),
        ("POST", f"{url}/registration_token"),
        ("DELETE", f"{url}/credential"),
        ("GET", f"{url}/quotas"),
        ("GET", f"{url}/quotas/proj-a"),
        ("GET", "/v1/clusters/gpu"),
    ]:
        assert (await theirs.request(method, path)).status_code == 404, path
    assert [cluster["id"] for cluster in (await theirs.get("/v1/clusters")).json()["data"]] == ["local"]
    assert (await ours.get(url)).json()["state"] == "registering"


async def test_who_may_only_read(caller: Any, create: Any) -> None:
    await create(caller())
    reader = caller(scope="clusters.read")
    assert (await reader.get("/v1/clusters/gpu")).status_code == 200
    assert (await reader.delete("/v1/clusters/gpu")).status_code == 403
    assert (await reader.post("/v1/clusters", json={"name": "b"})).status_code == 403


async def test_pages_begin_with_the_platforms_own_machine(client: httpx.AsyncClient, create: Any) -> None:
    made = [(await create(client, name))["id"] for name in ("c", "a", "b")]

    async def walk(params: dict[str, Any]) -> list[str]:
        found: list[str] = []
        while True:
            page = (await client.get("/v1/clusters", params=params)).json()
            found += [cluster["id"] for cluster in page["data"]]
            if not page["has_more"]:
                return found
            params = {**params, "after": page["last_id"]}

    for order, limit in [(order, limit) for order in ("asc", "desc") for limit in (1, 2, 3, 10)]:
        expected = ["local", *(made if order == "asc" else reversed(made))]
        params: dict[str, Any] = {"order": order, "limit": limit}
        assert await walk(params) == expected
        backwards = (await client.get("/v1/clusters", params={**params, "before": expected[-1]})).json()
        assert [cluster["id"] for cluster in backwards["data"]] == expected[max(0, 3 - limit) : 3]
        assert backwards["has_more"] == (limit < 3)
    nothing = (await client.get("/v1/clusters", params={"before": "local"})).json()
    assert (nothing["data"], nothing["has_more"]) == ([], False)
    both = await client.get("/v1/clusters", params={"before": "local", "after": "local"})
    assert both.status_code == 400


async def test_a_project_hears_of_its_organizations_clusters(
    app: FastAPI, client: httpx.AsyncClient, create: Any
) -> None:
    made = await create(client)
    stream = app.state.events.subscribe(project_id="proj-other", organization_id="org-local", last_id=0)
    event = await anext(stream)
    assert (event.type, event.object_id, event.data["name"]) == ("cluster.created", made["id"], "gpu")
    await stream.aclose()
