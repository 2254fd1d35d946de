"""Who asks for another project's job is answered as if there were none, and is written down."""

import asyncio
import secrets

import httpx
from fastapi import FastAPI
from perijove_platform.rbac import SCOPES
from perijove_platform.users.service import hash_of_key
from perijove_platform.users.store import ApiKeyStore, ProjectRow


async def key_of_another_project(app: FastAPI, organization_id: str) -> str:
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
    """The audit records of the client's project, once there are so many; they are written off the request's path."""
    async with asyncio.timeout(10):
        while True:
            found = (await client.get("/v1/audit_records")).json()["data"]
            if len(found) >= count:
                return [(row["verb"], row["cluster"], row["path"], row["status"]) for row in found]
            await asyncio.sleep(0.05)


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
        assert sorted(await recorded(stranger, 3)) == [
            ("get", "local", job, 404),
            ("get", "local", f"{job}/logs", 404),
            ("post", "local", f"{job}/cancel", 404),
        ]
    assert (await client.get(job)).status_code == 200
    assert (await client.get("/v1/audit_records")).json()["data"] == []
