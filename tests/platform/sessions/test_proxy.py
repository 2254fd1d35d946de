"""kubectl's proxy over real sockets: platform, tunnel, a stand-in agent, a stand-in API server."""

import asyncio
import hashlib
import json
import os
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sessions_platform import Registered, RunningPlatform, eventually
from standin_agent import StandInAgent
from standin_api_server import StandInApiServer

MIB = 1024 * 1024


async def test_a_request_arrives_as_it_was_sent_and_names_the_person(
    kube: httpx.AsyncClient, agent: StandInAgent
) -> None:
    blob = os.urandom(3 * MIB + 11)
    answer = await kube.post(
        "/echo?fieldSelector=a%3Db&x=%2F",
        content=blob,
        headers={
            "Impersonate-User": "admin",
            "X-Remote-Group": "system:masters",
            "Te": "trailers",
            "Connection": "X-Mine",
            "X-Mine": "1",
            "X-Kept": "2",
        },
    )
    assert answer.status_code == 200
    body = answer.json()
    assert body["sha256"] == hashlib.sha256(blob).hexdigest()
    assert body["query"] == "fieldSelector=a%3Db&x=%2F"
    seen = dict(body["headers"])
    assert seen["x-kept"] == "2"
    assert seen.keys() & {"authorization", "impersonate-user", "x-remote-group", "te", "x-mine"} == set()
    asked = agent.targets[-1]
    assert asked["as"] == {
        "user": "perijove:user-local",
        "groups": ["perijove:project:proj-local", "perijove:organization:org-local"],
        "extra": {"perijove.dev/email": [asked["as"]["extra"]["perijove.dev/email"][0]]},
    }
    assert "connection" not in answer.headers and len(answer.headers.get_list("date")) == 1


async def test_a_body_of_unknown_length_is_streamed(kube: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    answer = await kube.patch("/echo", content=pieces())
    assert answer.json()["sha256"] == hashlib.sha256(b"x" * 2_000_000).hexdigest()


async def test_a_followed_log_comes_line_by_line(kube: httpx.AsyncClient, api_server: StandInApiServer) -> None:
    async with kube.stream("GET", "/api/v1/namespaces/default/pods/web/log?follow=true") as answer:
        lines = answer.aiter_lines()
        for number in range(3):
            api_server.lines.put_nowait(b"line %d\n" % number)
            # The next is not written before this one is here.
            assert await asyncio.wait_for(anext(lines), 60) == f"line {number}"
        api_server.lines.put_nowait(None)
        assert [line async for line in lines] == []


async def test_who_leaves_ends_the_stream_at_the_agent(
    kube: httpx.AsyncClient, agent: StandInAgent, api_server: StandInApiServer
) -> None:
    async with kube.stream("GET", "/api/v1/namespaces/default/pods/web/log?follow=true") as answer:
        assert answer.status_code == 200
        assert agent.ended == []
    await eventually(lambda: agent.ended == ["cancelled"], what="the stream's end")


async def test_who_leaves_before_the_answer_is_recorded(
    tls_platform: RunningPlatform, registered: Registered, kube: httpx.AsyncClient, api_server: StandInApiServer
) -> None:
    log = tls_platform.data_dir / "serve.log"
    said = log.stat().st_size
    api_server.hold.clear()
    path = "/api/v1/namespaces/default/pods/slow"
    asking = asyncio.create_task(kube.delete(path))
    await eventually(lambda: api_server.requests, what="the request at the API server")
    asking.cancel()
    query = {"cluster": registered.id, "status": 499}
    (found,) = await eventually(
        lambda: tls_platform.call("GET", "/v1/audit_records", params=query)["data"], what="the record"
    )
    assert (found["verb"], found["path"]) == ("delete", path)
    assert b"Traceback" not in log.read_bytes()[said:]
    api_server.hold.set()


async def test_a_link_that_is_lost_before_the_answer_is_a_kubernetes_status(
    tls_platform: RunningPlatform, registered: Registered, kube: httpx.AsyncClient, api_server: StandInApiServer
) -> None:
    api_server.hold.clear()
    asking = asyncio.create_task(kube.patch("/api/v1/namespaces/default/pods/slow", content=b"{}"))
    await eventually(lambda: api_server.requests, what="the request at the API server")
    await asyncio.to_thread(tls_platform.call, "DELETE", f"/v1/clusters/{registered.id}/credential")
    answer = await asyncio.wait_for(asking, 60)
    assert (answer.status_code, answer.json()["reason"]) == (503, "ServiceUnavailable")
    query = {"cluster": registered.id, "status": 503, "verb": "patch"}
    await eventually(lambda: tls_platform.call("GET", "/v1/audit_records", params=query)["data"], what="the record")
    api_server.hold.set()


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(
    kube: httpx.AsyncClient, api_server: StandInApiServer
) -> None:
    api_server.lines.put_nowait(b"half")
    api_server.lines.put_nowait(None)
    with pytest.raises(httpx.RemoteProtocolError):
        await kube.get("/broken")


async def test_a_head_has_no_body_and_an_error_is_passed_on(kube: httpx.AsyncClient) -> None:
    assert (await kube.head("/version")).headers["content-length"] == "54"
    answer = await kube.get("/nowhere")
    assert answer.status_code == 404 and answer.json()["message"] == 'no "/nowhere" here'


async def test_what_the_agent_cannot_do_is_a_kubernetes_status(kube: httpx.AsyncClient) -> None:
    answer = await kube.get("/refused")
    assert answer.status_code == 502
    assert answer.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "The kube-apiserver does not answer.",
        "reason": "BadGateway",
        "code": 502,
    }


async def test_a_request_that_is_too_large_for_the_tunnel_is_the_clients_fault(kube: httpx.AsyncClient) -> None:
    answer = await kube.get("/version", headers={"X-Large": "x" * 300_000})
    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert "at most 262144" in answer.json()["message"]


async def test_without_an_agent_the_cluster_is_unavailable(
    tls_platform: RunningPlatform, registered: Registered
) -> None:
    token = await asyncio.to_thread(tls_platform.session_token)
    async with tls_platform.async_client(token) as client:
        answer = await client.get(f"/v1/sessions/{registered.id}/api")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "ServiceUnavailable" and registered.id in answer.json()["message"]


async def test_only_a_session_token_for_the_cluster_opens_it(
    tls_platform: RunningPlatform, registered: Registered, kube: httpx.AsyncClient
) -> None:
    other = await asyncio.to_thread(tls_platform.register, "another")
    for_other = await asyncio.to_thread(tls_platform.session_token, other.id)
    changed = for_other[:-4] + "AAAA"
    for token, status in ((tls_platform.key, 401), ("x", 401), (changed, 401), (for_other, 404)):
        answer = await kube.get("/version", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["kind"]) == (status, "Status"), token
    with tls_platform.client() as client:
        refused = client.get("/v1/me", headers={"Authorization": f"Bearer {for_other}"})
        assert refused.status_code == 401  # an API key opens the API, a session token does not
        unknown = client.post("/v1/sessions/tokens", json={"cluster": "cluster_of_others"})
        assert unknown.status_code == 404 and unknown.json()["error"]["param"] == "cluster"


def _token_of_another_key(platform: RunningPlatform, registered: Registered) -> tuple[str, str]:
    """A session token, and the id of the API key that it was made with."""
    made = platform.call("POST", "/v1/api_keys", json={"name": "passing"})
    with platform.client() as client:
        client.headers["authorization"] = f"Bearer {made['secret']}"
        answer = client.post("/v1/sessions/tokens", json={"cluster": registered.id}).raise_for_status()
    return answer.json()["token"], made["id"]


async def test_a_token_is_worth_no_more_than_the_key_it_was_made_with(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent
) -> None:
    token, key_id = await asyncio.to_thread(_token_of_another_key, tls_platform, registered)
    async with tls_platform.async_client(token) as client:
        url = f"/v1/sessions/{registered.id}/version"
        assert (await client.get(url)).status_code == 200
        await asyncio.to_thread(tls_platform.call, "DELETE", f"/v1/api_keys/{key_id}")
        async with asyncio.timeout(60):
            while (answer := await client.get(url)).status_code != 401:
                assert answer.status_code == 200
                await asyncio.sleep(0.2)
        assert "expired" in answer.json()["message"]


async def test_each_request_is_recorded_and_told(
    tls_platform: RunningPlatform, registered: Registered, kube: httpx.AsyncClient
) -> None:
    await kube.get("/api/v1/namespaces/default/pods?watch=false&token=secret")
    await kube.delete("/api/v1/namespaces/default/pods/web")

    def records() -> Any:
        found = tls_platform.call("GET", "/v1/audit_records", params={"cluster": registered.id, "order": "asc"})
        return found["data"] if len(found["data"]) == 2 else None

    first, second = await eventually(records, what="the records")
    assert (first["verb"], first["path"], first["status"]) == ("list", "/api/v1/namespaces/default/pods", 200)
    assert (second["verb"], second["status"]) == ("delete", 200)
    assert first["user_id"] == "user-local" and first["user_name"]
    page = tls_platform.call("GET", "/v1/audit_records", params={"cluster": registered.id, "verb": "delete"})
    assert [record["id"] for record in page["data"]] == [second["id"]]
    with tls_platform.client().stream("GET", "/v1/events", headers={"Last-Event-ID": "0"}) as events:
        for line in events.iter_lines():
            if line.startswith("data:") and second["id"] in line:
                assert json.loads(line[5:])["data"] == {key: second[key] for key in ("id", "object", "created_at")}
                break


async def test_a_cluster_of_others_does_not_exist_and_the_attempt_is_recorded(
    tls_platform: RunningPlatform, kube: httpx.AsyncClient
) -> None:
    url = f"{tls_platform.base_url}/v1/sessions/cluster_of_others/api/v1/namespaces/x/pods/y/log?follow=1"
    token = await asyncio.to_thread(tls_platform.session_token)
    async with tls_platform.async_client(token) as client:
        answer = await client.get(url)
    assert answer.status_code == 404 and answer.json()["reason"] == "NotFound"
    query = {"cluster": "cluster_of_others", "status": 404}
    found = await eventually(
        lambda: tls_platform.call("GET", "/v1/audit_records", params=query)["data"], what="the record"
    )
    assert found[0]["path"] == "/api/v1/namespaces/x/pods/y/log"


async def test_what_is_forbidden_in_another_projects_namespace_is_not_there(
    tls_platform: RunningPlatform, registered: Registered, kube: httpx.AsyncClient
) -> None:
    path = "/api/v1/namespaces/perijove-{}/secrets/x"
    other = await kube.get(path.format("proj-other"))
    assert (other.status_code, other.json()["reason"]) == (404, "NotFound")
    assert "That of your project is 'perijove-proj-local'" in other.json()["message"]
    own = await kube.get(path.format("proj-local"))
    assert (own.status_code, own.json()["message"]) == (403, "is forbidden")
    assert (await kube.get("/api/v1/namespaces/default/secrets/x")).status_code == 403
    query = {"cluster": registered.id, "status": 404}
    (found,) = await eventually(
        lambda: tls_platform.call("GET", "/v1/audit_records", params=query)["data"], what="the record"
    )
    assert found["path"] == path.format("proj-other")


async def _upgraded(
    platform: RunningPlatform,
    registered: Registered,
    path: str,
    protocol: str,
    first: bytes = b"",
    token: str | None = None,
) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection after an upgrade, with the head of the answer."""
    token = token or await asyncio.to_thread(platform.session_token, registered.id)
    tls = ssl.create_default_context(cafile=str(platform.certificate))
    host, port = platform.base_url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
    head = f"POST /v1/sessions/{registered.id}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    head += f"Connection: Upgrade\r\nUpgrade: {protocol}\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 0\r\n\r\n"
    writer.write(head.encode() + first)
    answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).decode()
    return answer, reader, writer


@pytest.mark.parametrize("protocol", ["SPDY/3.1", "websocket"])
async def test_upgraded_bytes_pass_both_ways_as_they_are(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent, protocol: str
) -> None:
    blob = os.urandom(8 * MIB)
    head, reader, writer = await _upgraded(tls_platform, registered, "/echo", protocol, first=blob[:1000])
    assert head.startswith("HTTP/1.1 101 ") and f"upgrade: {protocol}" in head.lower() or protocol in head

    async def send() -> None:
        for position in range(1000, len(blob), 65536):
            writer.write(blob[position : position + 65536])
            await writer.drain()

    sending = asyncio.create_task(send())
    assert await asyncio.wait_for(reader.readexactly(len(blob)), 120) == blob
    await sending
    assert dict(agent.targets[-1]["headers"])["upgrade"] == protocol
    writer.close()
    await eventually(lambda: agent.ended != [], what="the end of the stream at the agent")


async def test_who_does_not_read_what_an_upgrade_sends_holds_it_up(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent, api_server: StandInApiServer
) -> None:
    """Neither end takes bytes: what can be sent until then is bounded, and all of it arrives later."""
    api_server.hold.clear()
    _, reader, writer = await _upgraded(tls_platform, registered, "/echo", "SPDY/3.1")
    sent = 0
    try:
        while sent < 256 * MIB:
            writer.write(b"x" * MIB)
            sent += MIB
            await asyncio.wait_for(writer.drain(), 3)
    except TimeoutError:
        pass
    assert sent < 64 * MIB
    api_server.hold.set()
    await asyncio.wait_for(reader.readexactly(sent), 120)
    writer.close()


async def test_what_is_open_ends_with_its_key_and_that_is_recorded(
    tls_platform: RunningPlatform,
    registered: Registered,
    agent: StandInAgent,
    kube: httpx.AsyncClient,
    api_server: StandInApiServer,
) -> None:
    token, key_id = await asyncio.to_thread(_token_of_another_key, tls_platform, registered)
    _, reader, writer = await _upgraded(tls_platform, registered, "/echo", "SPDY/3.1", token=token)
    log = "/api/v1/namespaces/default/pods/web/log"
    theirs = {"Authorization": f"Bearer {token}"}
    async with kube.stream("GET", log, headers=theirs) as followed, kube.stream("GET", log) as another_keys:
        await asyncio.to_thread(tls_platform.call, "DELETE", f"/v1/api_keys/{key_id}")
        assert await asyncio.wait_for(reader.read(), 60) == b""
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(followed.aread(), 60)
        query = {"cluster": registered.id, "status": 401}
        found = await eventually(
            lambda: (records := tls_platform.call("GET", "/v1/audit_records", params=query)["data"])[1:] and records,
            what="the records",
        )
        assert {record["path"] for record in found} == {"/echo", log}
        await eventually(lambda: agent.ended == ["key_ended", "key_ended"], what="the ends at the agent")
        lines = another_keys.aiter_lines()
        reading = asyncio.ensure_future(anext(lines))
        async with asyncio.timeout(60):
            while not reading.done():  # the stand-in gives the first ones to the connections that have ended
                api_server.lines.put_nowait(b"goes on\n")
                await asyncio.wait([reading], timeout=0.05)
        assert reading.result() == "goes on"
    writer.close()


async def test_an_upgrade_that_is_refused_is_an_ordinary_answer(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent
) -> None:
    head, reader, writer = await _upgraded(tls_platform, registered, "/echo-refused", "SPDY/3.1")
    assert head.startswith("HTTP/1.1 403 ") and "connection: close" in head
    assert b"no exec for you" in await asyncio.wait_for(reader.read(), 60)
    writer.close()


async def test_small_messages_are_not_held_back(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent
) -> None:
    """As a person types in a shell: with Nagle's algorithm and delayed acknowledgements each would take 40 ms."""
    _, reader, writer = await _upgraded(tls_platform, registered, "/echo", "SPDY/3.1")
    times = []
    for _ in range(30):
        began = time.perf_counter()
        writer.write(b"k")
        writer.write(b"l")
        await asyncio.wait_for(reader.readexactly(2), 60)
        times.append(time.perf_counter() - began)
    # The later ones: the first are acknowledged at once. The quickest: a busy machine holds others up.
    assert sorted(times[15:])[2] < 0.035
    writer.close()
