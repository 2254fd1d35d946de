"""An agent between a platform's end and a stand-in for the kube-apiserver, all over real sockets and TLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.agent import service
from perijove_platform.agent.service import Agent
from perijove_platform.agent.settings import AgentSettings
from perijove_platform.tunnel.keeper import Pace
from standin_kube_apiserver import KubeApiServer
from tunnel_ends import Certificates, PlatformEnd, RunAgent, without_proxies

PACE = Pace(first=0.02, failing=0.2, refused=0.2, missing=0.1, settled=5.0)


_proxies = pytest.fixture(autouse=True)(without_proxies)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent goes without Kubernetes' version when that takes long; tests want it."""
    monkeypatch.setattr(service, "VERSION_SECONDS", 60.0)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def environment(tmp_path: Path, certificates: Certificates) -> dict[str, str]:
    """What an agent in a pod is told, but for the addresses."""
    account = tmp_path / "serviceaccount"
    account.mkdir()
    (account / "token").write_text("service-account\n")
    (account / "ca.crt").write_bytes(certificates.ca.read_bytes())
    (account / "namespace").write_text("perijove-agent")
    return {
        "PERIJOVE_AGENT_SERVICE_ACCOUNT_DIR": str(account),
        "PERIJOVE_AGENT_REGISTRATION_TOKEN_FILE": str(tmp_path / "token"),
        "PERIJOVE_AGENT_CA_FILE": str(certificates.ca),
        "PERIJOVE_AGENT_INSTANCE": "agent-1",
        "PERIJOVE_AGENT_HEALTH_PORT": "0",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
    }


@pytest.fixture
async def platform(certificates: Certificates) -> AsyncIterator[PlatformEnd]:
    async with PlatformEnd(certificates=certificates, credentials={"pjagent-good"}).serve() as platform:
        yield platform


@pytest.fixture
async def kubernetes(certificates: Certificates) -> AsyncIterator[KubeApiServer]:
    server = KubeApiServer(secrets={"perijove-agent-credential": {"credential": "pjagent-good"}})
    async with server.serve(certificates.server()):
        yield server


@pytest.fixture
def run_agent(environment: dict[str, str], platform: PlatformEnd, kubernetes: KubeApiServer) -> RunAgent:
    """Runs an agent in this process; options go to `Agent`."""

    @contextlib.asynccontextmanager
    async def run(platform_url: str | None = None, **options: Any) -> AsyncIterator[Agent]:
        environment["PERIJOVE_AGENT_PLATFORM_URL"] = platform_url or f"https://localhost:{platform.port}"
        environment["KUBERNETES_SERVICE_PORT"] = str(kubernetes.port)
        agent = Agent(AgentSettings.from_environment(environment), **{"pace": PACE, **options})
        running = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    return run
