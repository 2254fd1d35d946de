"""Registration tokens and agents' credentials, over HTTP on both databases."""

import asyncio
import hashlib
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from perijove_platform.app import create_app
from perijove_platform.clusters import registration
from perijove_platform.clusters.service import ClustersService
from perijove_platform.clusters.store import CredentialRow, RegistrationTokenRow
from perijove_platform.settings import Settings

REPLICAS = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
"""SQLite serves one platform."""


async def rotated(client: httpx.AsyncClient, cluster: str = "gpu", **body: Any) -> str:
    answer = await client.post(f"/v1/clusters/{cluster}/registration_token", json=body or None)
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    code: str = answer.json()["error"]["code"]
    return code.removeprefix("registration_token_")


async def test_a_token_is_exchanged_once(
    client: httpx.AsyncClient, create: Any, register: Any, service: ClustersService
) -> None:
    made = await create(client)
    token = made["registration_token"]["token"]
    answer = await register(client, token)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    credential = answer.json()["credential"]
    assert credential.startswith("pjagent-")
    assert (answer.json()["cluster_id"], answer.json()["cluster"]) == (made["id"], "gpu")
    assert await service.agent_of(credential) == made["id"]

    again = await register(client, token)
    assert refusal(again) == "used"
    assert "was used at 20" in again.json()["error"]["message"]
    found = (await client.get("/v1/clusters/gpu")).json()
    assert found["registration_token"]["state"] == "used"
    assert found["credential"]["state"] == "valid"
    assert found["credential"]["last_used_at"] is not None
    assert found["state_reason"] == "its agent has registered and has not connected yet"
    assert credential not in str(found)


async def test_only_digests_are_stored(app: FastAPI, client: httpx.AsyncClient, create: Any, register: Any) -> None:
    token = (await create(client))["registration_token"]["token"]
    credential = (await register(client, token)).json()["credential"]
    async with app.state.database.read() as session:
        for secret, table in ((token, RegistrationTokenRow), (credential, CredentialRow)):
            row = (await session.scalars(sa.select(table))).one()
            assert row.secret_hash == hashlib.sha256(secret.encode()).hexdigest()
            shown = {column.name: getattr(row, column.name) for column in table.__table__.columns}
            assert secret[-20:] not in str(shown)


async def test_of_two_agents_with_one_token_one_wins(
    client: httpx.AsyncClient, create: Any, register: Any, service: ClustersService
) -> None:
    for attempt in range(5):
        token = (await create(client, f"gpu-{attempt}"))["registration_token"]["token"]
        answers = await asyncio.gather(*(register(client, token) for _ in range(6)))
        assert sorted(answer.status_code for answer in answers) == [201] + [401] * 5
        assert {refusal(answer) for answer in answers if answer.status_code == 401} == {"used"}
        (won,) = [answer.json() for answer in answers if answer.status_code == 201]
        assert await service.agent_of(won["credential"]) == won["cluster_id"]


@REPLICAS
async def test_of_two_replicas_with_one_token_one_wins(
    app: FastAPI, settings: Settings, client: httpx.AsyncClient, create: Any, register: Any
) -> None:
    other = create_app(settings)
    async with other.router.lifespan_context(other):
        transport = httpx.ASGITransport(other, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://other") as there:
            for attempt in range(5):
                token = (await create(client, f"gpu-{attempt}"))["registration_token"]["token"]
                answers = await asyncio.gather(*(register(to, token) for to in (client, there) * 3))
                assert sorted(answer.status_code for answer in answers) == [201] + [401] * 5


async def test_rotation_ends_the_token_before(client: httpx.AsyncClient, create: Any, register: Any) -> None:
    first = (await create(client))["registration_token"]["token"]
    second = await rotated(client, expires_in_seconds=3600)
    refused = await register(client, first)
    assert refusal(refused) == "revoked"
    assert "perijove clusters rotate" in refused.json()["error"]["message"]
    assert (await register(client, second)).status_code == 201


async def test_a_token_expires(app: FastAPI, client: httpx.AsyncClient, create: Any, register: Any) -> None:
    token = (await create(client, token_expires_in_seconds=60))["registration_token"]["token"]
    async with app.state.database.write() as session:
        await session.execute(sa.update(RegistrationTokenRow).values(expires_at=RegistrationTokenRow.expires_at - 61))
    assert refusal(await register(client, token)) == "expired"
    assert (await client.get("/v1/clusters/gpu")).json()["registration_token"]["state"] == "expired"


async def test_a_tokens_lifetime_has_bounds(client: httpx.AsyncClient) -> None:
    for seconds in (59, 30 * 86_400 + 1, 0, -1):
        refused = await client.post("/v1/clusters", json={"name": "a", "token_expires_in_seconds": seconds})
        assert refused.json()["error"]["param"] == "token_expires_in_seconds"


async def test_unknown_tokens(client: httpx.AsyncClient, create: Any, register: Any) -> None:
    token = (await create(client))["registration_token"]["token"]
    last = "A" if token[-2] != "A" else "B"
    wrong = ["x", "pjreg-", token[:-2] + last + token[-1], token.upper(), token + "x", "pjreg-" + "é" * 69, "a b"]
    for text in wrong:
        refused = await client.post("/v1/agent/registration", headers={b"Authorization": f"Bearer {text}".encode()})
        assert refusal(refused) == "unknown", text
    missing = await client.post("/v1/agent/registration", headers={"Authorization": "Basic eDp5"})
    assert refusal(missing) == "missing"
    assert (await register(client, token)).status_code == 201


async def test_unknown_tokens_are_refused_while_others_write(
    app: FastAPI, client: httpx.AsyncClient, create: Any, register: Any
) -> None:
    token = (await create(client))["registration_token"]["token"]
    last = "A" if token[-2] != "A" else "B"
    async with app.state.database.write(), asyncio.timeout(60):
        for text in ("x", "pjreg-" + "0" * 69, token[:-2] + last + token[-1]):
            assert refusal(await register(client, text)) == "unknown"


async def test_the_token_of_a_deleted_cluster(client: httpx.AsyncClient, create: Any, register: Any) -> None:
    token = (await create(client))["registration_token"]["token"]
    await client.delete("/v1/clusters/gpu")
    assert refusal(await register(client, token)) == "unknown"


async def test_a_revoked_credential_is_refused_at_once(
    client: httpx.AsyncClient, joined: tuple[str, str], register: Any, service: ClustersService, events: Any
) -> None:
    cluster_id, credential = joined
    assert await service.agent_of(credential) == cluster_id
    unused = await rotated(client)
    assert await service.agent_of(credential) == cluster_id  # a new token does not send the agent away
    revoked = (await client.delete("/v1/clusters/gpu/credential")).json()
    assert await service.agent_of(credential) is None
    assert revoked["state"] == "revoked"
    assert "revoked its agent's credential" in revoked["state_reason"]
    assert refusal(await register(client, unused)) == "revoked"
    told = [event.type for event in await events()]
    assert told[-2:] == ["cluster.credential.deleted", "cluster.updated"]

    token = await rotated(client)
    assert (await client.get("/v1/clusters/gpu")).json()["state"] == "registering"
    fresh = (await register(client, token)).json()["credential"]
    assert await service.agent_of(fresh) == cluster_id
    assert await service.agent_of(credential) is None


async def test_another_registration_ends_the_credential_before(
    client: httpx.AsyncClient, joined: tuple[str, str], register: Any, service: ClustersService
) -> None:
    cluster_id, credential = joined
    assert await service.agent_of(credential) == cluster_id
    ended = asyncio.ensure_future(anext(service.ended_agents()))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while not ended.done():  # it listens from when it has read where the outbox ends
            fresh = (await register(client, await rotated(client))).json()["credential"]
            await asyncio.wait([ended], timeout=0.2)
    assert ended.result() == cluster_id
    assert await service.agent_of(credential) is None
    assert await service.agent_of(fresh) == cluster_id


async def test_a_deleted_clusters_agent_is_refused(
    client: httpx.AsyncClient, joined: tuple[str, str], service: ClustersService
) -> None:
    assert await service.agent_of(joined[1]) == joined[0]
    await client.delete("/v1/clusters/gpu")
    assert await service.agent_of(joined[1]) is None


async def test_what_is_no_credential(joined: tuple[str, str], service: ClustersService) -> None:
    other_secret = joined[1][:-5] + "AAAAA"
    for text in ("", "pjagent-", "pjagent-" + "0" * 69, "sk-perijove-x", "pjagent-" + "é" * 69, other_secret):
        assert await service.agent_of(text) is None, text


async def test_looking_up_a_known_credential_asks_no_database(
    app: FastAPI, joined: tuple[str, str], service: ClustersService
) -> None:
    await service.agent_of(joined[1])
    statements: list[str] = []
    engine = app.state.database.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    for _ in range(100):
        assert await service.agent_of(joined[1]) == joined[0]
    assert [text for text in statements if "cluster_credentials" in text] == []


@REPLICAS
async def test_another_replica_refuses_a_revoked_credential(
    settings: Settings, client: httpx.AsyncClient, joined: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "CACHE_SECONDS", 3600.0)  # it is told, and does not come upon it by itself
    cluster_id, credential = joined
    other = create_app(settings)
    async with other.router.lifespan_context(other):
        there: ClustersService = other.state.clusters
        assert await there.agent_of(credential) == cluster_id
        await client.delete("/v1/clusters/gpu/credential")
        async with asyncio.timeout(60):
            while await there.agent_of(credential) is not None:
                await asyncio.sleep(0.01)


async def test_old_tokens_do_not_pile_up(app: FastAPI, client: httpx.AsyncClient, create: Any) -> None:
    await create(client)
    for _ in range(25):
        await rotated(client)
    async with app.state.database.read() as session:
        count = await session.scalar(sa.select(sa.func.count()).select_from(RegistrationTokenRow))
    assert count <= 21


async def test_a_credential_is_good_in_one_kubernetes_cluster(
    client: httpx.AsyncClient, joined: tuple[str, str], register: Any, service: ClustersService, events: Any
) -> None:
    _, credential = joined
    assert await service.admits(credential, None)  # an agent too old to tell, which binds nothing
    assert await service.admits(credential, "uid-a")
    assert await service.admits(credential, "uid-a")
    assert (await client.get("/v1/clusters/gpu")).json()["problems"] == []
    before = len(await events())
    for _ in range(3):
        assert not await service.admits(credential, "uid-b")
    assert await service.admits(credential, "uid-a")
    (problem,) = (await client.get("/v1/clusters/gpu")).json()["problems"]
    assert "in another Kubernetes cluster" in problem and "register that cluster by a token of its own" in problem
    (told,) = (await events())[before:]  # once, however often it dials
    assert (told.type, told.data["problems"]) == ("cluster.updated", [problem])
    # Whoever has a new token decides where the cluster is.
    fresh = (await register(client, await rotated(client))).json()["credential"]
    assert (await client.get("/v1/clusters/gpu")).json()["problems"] == []
    assert await service.admits(fresh, "uid-b")
    assert not await service.admits(fresh, "uid-a")


async def test_of_two_kubernetes_clusters_that_come_at_once_one_is_let_in(
    joined: tuple[str, str], service: ClustersService
) -> None:
    uids = [f"uid-{number}" for number in range(6)]
    admitted = await asyncio.gather(*(service.admits(joined[1], uid) for uid in uids))
    assert sorted(admitted) == [False] * 5 + [True]
    again = [await service.admits(joined[1], uid) for uid in uids]
    assert again == admitted
