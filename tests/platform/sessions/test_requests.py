"""Bad requests to the routes of sessions, on both kinds of database."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from perijove_platform.clusters.store import ClusterRow
from perijove_platform.sessions import requests

BODIES: list[tuple[Any, set[int]]] = [
    (None, {201}),
    ({}, {201}),
    ({"cluster": None}, {201}),
    ({"cluster": "local"}, {404}),
    ({"cluster": "nowhere"}, {404}),
    ({"cluster": ""}, {400}),
    ({"cluster": "x" * 65}, {400}),
    ({"cluster": 5}, {400}),
    ({"cluster": "a\0b"}, {400, 404}),
    ({"project": "x"}, {400}),
    ([], {400}),
]
QUERIES = ["limit=0", "status=7", "status=x", "created_after=-1", "created_after=" + "9" * 30, "after=a&before=b"]
NO_ROUTES = ["/v1%2fsessions%2fx%2fy", "/v1/sessions%2fx/y", "/v1%2Fsessions/x/y", "/v1/%73essions/x/y"]
STRANGE = ["x%2fy/api", "x%2fy", "x%2f%2e%2e/api", "x/%00", "/api", "%2e%2e/api", "x" * 3000 + "/a"]


async def test_bad_requests_are_told_what_is_wrong(client: httpx.AsyncClient) -> None:
    for body, statuses in BODIES:
        answer = await client.post("/v1/sessions/tokens", json=body)
        assert answer.status_code in statuses, (body, answer.text)
        if answer.is_success:
            assert answer.headers["cache-control"] == "no-store"
        else:
            assert answer.json()["error"]["message"]
    for query in QUERIES:
        answer = await client.get(f"/v1/audit_records?{query}")
        assert answer.status_code == 400 and answer.json()["error"]["message"], query
    for path in ("/v1/agent/link", "/v1/peers/link"):
        assert (await client.get(path)).status_code == 404  # no WebSocket
    answer = await client.get("/v1/sessions/x/api")
    assert answer.status_code == 401 and answer.json()["kind"] == "Status"
    for path in NO_ROUTES:
        answer = await client.get(path, headers={"Authorization": ""})
        assert answer.status_code == 404 and answer.json()["error"]["code"] == "unknown_url", path
    token = (await client.post("/v1/sessions/tokens")).json()["token"]
    for path in STRANGE:
        answer = await client.put(f"/v1/sessions/{path}", headers={"Authorization": f"Bearer {token}"}, content=b"x")
        assert answer.status_code in (400, 404), path


async def test_who_has_too_many_requests_open_is_told_as_kubernetes_tells_it(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_OPEN", 0)
    cluster = (await client.post("/v1/clusters", json={"name": "busy"})).json()
    token = (await client.post("/v1/sessions/tokens")).json()["token"]
    answer = await client.get(f"/v1/sessions/{cluster['id']}/api", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["kind"], answer.json()["reason"]) == (429, "Status", "TooManyRequests")


async def test_a_cluster_of_another_organization_does_not_exist(app: FastAPI, client: httpx.AsyncClient) -> None:
    theirs = ClusterRow(
        id="cluster_theirs", organization_id="org-theirs", name="theirs", state="connected", created_by="user-theirs"
    )
    async with app.state.database.write() as session:
        session.add(theirs)
    refused = await client.post("/v1/sessions/tokens", json={"cluster": theirs.id})
    assert refused.status_code == 404
    token = (await client.post("/v1/sessions/tokens")).json()["token"]
    path = "/api/v1/namespaces/perijove-proj-theirs/pods/secret/log"
    answer = await client.get(
        f"/v1/sessions/{theirs.id}{path}?tailLines=5", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 404
    # Nothing tells it from one that does not exist.
    nowhere = await client.get(f"/v1/sessions/nowhere{path}", headers={"Authorization": f"Bearer {token}"})
    assert nowhere.json()["message"] == answer.json()["message"].replace(theirs.id, "nowhere")
    async with asyncio.timeout(60):
        while not (found := (await client.get(f"/v1/audit_records?cluster={theirs.id}")).json()["data"]):
            await asyncio.sleep(0.05)
    assert [(record["verb"], record["path"], record["status"]) for record in found] == [("get", path, 404)]
