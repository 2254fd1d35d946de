"""Who asks for another project's job is answered as if there were none, and that project can read who asked."""

import asyncio
import secrets

import httpx
import sqlalchemy as sa
from fastapi import FastAPI
from perijove_platform.events.store import after
from perijove_platform.jobs.store import JobRow
from perijove_platform.rbac import SCOPES
from perijove_platform.users.service import hash_of_key
from perijove_platform.users.store import ApiKeyStore, OrganizationRow, ProjectRow


async def key_of_another_project(app: FastAPI, organization_id: str) -> str:
    """Of the project `proj-other` of an organization, which is made when there is none."""
    key = f"sk-perijove-{secrets.token_urlsafe(32)}"
    async with app.state.database.write() as session:
        session.add(ProjectRow(id="proj-other", organization_id=organization_id, name="Other"))
        await session.flush()
        await ApiKeyStore(session, "proj-other").add(
            organization_id=organization_id,
            created_by="user-local",
            name="Other",
            secret_hash=hash_of_key(key),
            hint="sk-…",
            scopes=sorted(SCOPES),
        )
    return key


async def recorded(client: httpx.AsyncClient, count: int) -> list[tuple[str, str, str, int]]:
    """The audit records of the client's project that are of strangers, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            found = (await client.get("/v1/audit_records")).json()["data"]
            if len(found) >= count:
                assert {row["from_project_id"] for row in found} == {"proj-other"}
                return [(row["verb"], row["cluster"], row["path"], row["status"]) for row in found]
            await asyncio.sleep(0.05)  # they are written off the request's path


async def test_asking_for_another_projects_job_is_recorded(app: FastAPI, client: httpx.AsyncClient) -> None:
    me = (await client.get("/v1/me")).json()
    key = await key_of_another_project(app, me["organization_id"])
    made = (await client.post("/v1/batch_jobs", json={"command": ["true"]})).json()
    job = f"/v1/batch_jobs/{made['id']}"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as stranger:
        theirs = await stranger.get(job)
        nothing = await stranger.get("/v1/batch_jobs/batchjob-nothing")
        assert (theirs.status_code, nothing.status_code) == (404, 404)
        assert theirs.text.replace(made["id"], "batchjob-nothing") == nothing.text
        assert (await stranger.get(f"{job}/logs")).status_code == 404
        assert (await stranger.post(f"{job}/cancel")).status_code == 404
        assert sorted(await recorded(client, 3)) == [
            ("get", "local", job, 404),
            ("get", "local", f"{job}/logs", 404),
            ("post", "local", f"{job}/cancel", 404),
        ]
        # Neither the log nor the events tell the stranger more than an unknown id would.
        assert (await stranger.get("/v1/audit_records")).json()["data"] == []
        async with app.state.database.read() as session:
            told = await after(session, 0, owners=["proj-other", me["organization_id"]], limit=100)
        assert [event for event in told if event.type == "audit.recorded"] == []
    assert (await client.get(job)).status_code == 200
    assert len(await recorded(client, 3)) == 3


async def test_the_record_has_the_id_of_the_cluster(app: FastAPI, client: httpx.AsyncClient) -> None:
    me = (await client.get("/v1/me")).json()
    key = await key_of_another_project(app, me["organization_id"])
    cluster = (await client.post("/v1/clusters", json={"name": "gpu"})).json()["id"]
    made = (await client.post("/v1/batch_jobs", json={"command": ["true"]})).json()
    # As if it had been put there; no agent is.
    async with app.state.database.write() as session:
        await session.execute(sa.update(JobRow).where(JobRow.id == made["id"]).values(cluster="gpu"))
    job = f"/v1/batch_jobs/{made['id']}"
    assert (await client.get(job, headers={"Authorization": f"Bearer {key}"})).status_code == 404
    assert await recorded(client, 1) == [("get", cluster, job, 404)]


async def test_people_of_another_organization_are_recorded_without_their_names(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    async with app.state.database.write() as session:
        session.add(OrganizationRow(id="org-other", name="Other"))
    key = await key_of_another_project(app, "org-other")
    job = f"/v1/batch_jobs/{(await client.post('/v1/batch_jobs', json={'command': ['true']})).json()['id']}"
    assert (await client.get(job, headers={"Authorization": f"Bearer {key}"})).status_code == 404
    assert await recorded(client, 1) == [("get", "local", job, 404)]
    (record,) = (await client.get("/v1/audit_records")).json()["data"]
    assert (record["user_id"], record["user_name"]) == ("user-local", "")
