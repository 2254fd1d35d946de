"""An orderly stop of the platform while clusters are in use."""

import asyncio
from pathlib import Path

import httpx
import pytest
from sessions_platform import Certificate, running_platform
from standin_agent import StandInAgent
from standin_api_server import StandInApiServer


async def test_a_stop_ends_what_is_followed_and_loses_no_record(
    tmp_path: Path, api_server: StandInApiServer, certificate: Certificate
) -> None:
    with running_platform(tmp_path / "data") as platform:
        cluster = platform.register("stopped")
        token = platform.session_token()
        async with (
            StandInAgent(platform.base_url, cluster.credential, api_server.port, trusts=certificate.file) as agent,
            platform.async_client(token) as client,
        ):
            await agent.connected.wait()
            prefix = f"/v1/sessions/{cluster.id}"
            async with client.stream("GET", f"{prefix}/api/v1/namespaces/default/pods/web/log") as answer:
                await asyncio.gather(*(client.get(f"{prefix}/version") for _ in range(20)))
                stopping = asyncio.create_task(asyncio.to_thread(platform.stop))
                with pytest.raises(httpx.RemoteProtocolError):
                    await asyncio.wait_for(answer.aread(), 60)
                await stopping
        assert platform.process.returncode == 0
        log = (tmp_path / "data" / "serve.log").read_text()
        assert "graceful shutdown exceeded" not in log  # what goes on after ten seconds is cut off
        assert "Traceback" not in log and token not in log and cluster.credential not in log
    with running_platform(tmp_path / "data") as again:
        records = again.call("GET", "/v1/audit_records", params={"limit": 100})["data"]
        assert sorted(record["path"] for record in records) == [
            "/api/v1/namespaces/default/pods/web/log",
            *["/version"] * 20,
        ]
