"""An agent that comes, is killed, falls silent, is revoked: processes and sockets of this machine."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from killable_platform import KillablePlatform, eventually
from perijove_platform.sessions import links, tunnels
from perijove_platform.tunnel.handshake import LINK_GRACE_SECONDS

AGENT = Path(__file__).parent / "dialling_agent.py"
NOTICED_SECONDS = 25.0
"""More than the ten that it takes at most, where this machine gives the processes no time; less than the grace period,
by whose end an agent would be given up."""
StartAgent = Callable[[], subprocess.Popen[bytes]]


class Platform(KillablePlatform):
    def environment(self) -> dict[str, str]:
        return {"PERIJOVE_INSTALL_DEFAULT_MODELS": "false"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("agents") / "data")
    platform.start()
    yield platform
    platform.stop()


@pytest.fixture
def agent(served: Platform) -> Iterator[StartAgent]:
    """Starts agents of a cluster `gpu`, each with its one credential."""
    token = served.post("/v1/clusters", {"name": "gpu"})["registration_token"]["token"]
    url = str(served.client.base_url).rstrip("/")
    answer = httpx.post(f"{url}/v1/agent/registration", headers={"Authorization": f"Bearer {token}"}, timeout=60)
    credential = answer.raise_for_status().json()["credential"]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        address = str(served.client.base_url).rstrip("/")
        process = subprocess.Popen([sys.executable, str(AGENT), address], stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(credential.encode())
        process.stdin.close()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    served.client.delete("/v1/clusters/gpu").raise_for_status()


def comes_to(platform: Platform, state: str, *, within: float = 60.0) -> Any:
    def cluster() -> Any:
        found = platform.get("/v1/clusters/gpu")
        return found if found["state"] == state else None

    return eventually(cluster, seconds=within, what=f"the cluster being {state}")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_an_agent_that_ends_or_hangs_is_noticed(served: Platform, agent: StartAgent, end: signal.Signals) -> None:
    assert links.LIMITS.silence_seconds + links.LIMITS.ping_seconds / 4 + tunnels.LOST_SECONDS < 9
    assert NOTICED_SECONDS < LINK_GRACE_SECONDS
    process = agent()
    connected = comes_to(served, "connected")
    assert connected["last_contact_at"] == pytest.approx(time.time(), abs=30)
    process.send_signal(end)
    lost = comes_to(served, "lost", within=NOTICED_SECONDS)
    assert "connection to its agent was lost" in lost["state_reason"]
    agent()
    assert comes_to(served, "connected")["state_reason"] is None


def test_a_revoked_agent_is_cut_off_and_not_let_in_again(
    served: Platform, agent: StartAgent, capfd: pytest.CaptureFixture[str]
) -> None:
    agent()
    comes_to(served, "connected")
    served.client.delete("/v1/clusters/gpu/credential").raise_for_status()
    said = ""

    def refused() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return "credential" in said

    eventually(refused, seconds=NOTICED_SECONDS, what="the refusal")
    found = served.get("/v1/clusters/gpu")
    assert (found["state"], found["credential"]["state"]) == ("revoked", "revoked")
    served.post("/v1/clusters/gpu/registration_token")
    assert served.get("/v1/clusters/gpu")["state"] == "registering"


def test_a_platform_that_is_killed_finds_out_who_is_there(served: Platform, agent: StartAgent) -> None:
    gone = agent()
    comes_to(served, "connected")
    served.kill()
    gone.kill()
    served.start()
    comes_to(served, "lost", within=NOTICED_SECONDS)
    agent()
    comes_to(served, "connected")
