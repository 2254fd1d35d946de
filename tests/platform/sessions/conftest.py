"""A platform that answers https, a small API server, and a stand-in for the agent between them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from sessions_platform import Certificate, Registered, RunningPlatform, running_platform
from standin_agent import StandInAgent
from standin_api_server import StandInApiServer


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(made.key), "-out", str(made.file), "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture(scope="session")
def tls_platform(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[RunningPlatform]:
    """Shared by the session: each test registers a cluster of its own."""
    with running_platform(tmp_path_factory.mktemp("sessions") / "data", certificate=certificate) as platform:
        yield platform


_names = iter(range(10_000))


@pytest.fixture
def registered(tls_platform: RunningPlatform) -> Registered:
    return tls_platform.register(f"cluster-{next(_names)}")


@pytest.fixture
async def api_server(certificate: Certificate) -> AsyncIterator[StandInApiServer]:
    async with StandInApiServer(certificate.file, certificate.key) as server:
        yield server


@pytest.fixture
async def agent(
    tls_platform: RunningPlatform, registered: Registered, api_server: StandInApiServer, certificate: Certificate
) -> AsyncIterator[StandInAgent]:
    """Connected."""
    agent = StandInAgent(tls_platform.base_url, registered.credential, api_server.port, trusts=certificate.file)
    async with agent:
        await agent.connected.wait()
        yield agent


@pytest.fixture
async def kube(
    tls_platform: RunningPlatform, registered: Registered, agent: StandInAgent
) -> AsyncIterator[httpx.AsyncClient]:
    """The cluster's API through the platform; relative paths are Kubernetes'."""
    token = await asyncio.to_thread(tls_platform.session_token, registered.id)
    async with tls_platform.async_client(token) as client:
        client.base_url = httpx.URL(f"{tls_platform.base_url}/v1/sessions/{registered.id}")
        yield client
