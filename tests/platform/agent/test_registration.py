"""How an agent gets its credential, keeps it, and what it says when it has none."""

import logging
from pathlib import Path

import pytest
from perijove_platform.agent.service import Agent
from standin_kube_apiserver import KubeApiServer
from tunnel_ends import Certificates, PlatformEnd, RunAgent, until

SECRET = "perijove-agent-credential"
KEPT = {SECRET: {"credential": "pjagent-for-pjreg-1"}}


@pytest.fixture
def token_file(environment: dict[str, str], kubernetes: KubeApiServer, platform: PlatformEnd) -> Path:
    """Of an agent that has not registered yet; the file is not there."""
    kubernetes.secrets.clear()
    platform.tokens.add("pjreg-1")
    return Path(environment["PERIJOVE_AGENT_REGISTRATION_TOKEN_FILE"])


async def _registers_anew(
    agent: Agent, kubernetes: KubeApiServer, platform: PlatformEnd, environment: dict[str, str]
) -> None:
    """Once it finds a token."""
    platform.tokens.add("pjreg-1")
    Path(environment["PERIJOVE_AGENT_REGISTRATION_TOKEN_FILE"]).write_text("pjreg-1")
    await until(lambda: agent.connected)
    assert kubernetes.secrets == KEPT


async def test_a_token_becomes_a_credential_that_outlives_the_agent(
    run_agent: RunAgent, token_file: Path, kubernetes: KubeApiServer, platform: PlatformEnd
) -> None:
    token_file.write_text("pjreg-1\n")
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        assert kubernetes.secrets == KEPT
        hello = platform.hellos[0]
        assert (hello.agent, hello.kubernetes and hello.kubernetes.version) == ("agent-1", "v1.34.4")
    token_file.unlink()
    async with run_agent() as agent:
        await until(lambda: agent.connected)


async def test_a_token_that_was_used_is_said_and_the_secret_is_looked_at_again(
    run_agent: RunAgent,
    token_file: Path,
    kubernetes: KubeApiServer,
    platform: PlatformEnd,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token_file.write_text("pjreg-used")
    async with run_agent() as agent:
        await until(lambda: platform.refusals >= 2)
        assert not agent.connected
        assert "refused the registration: This registration token was used." in caplog.text
        assert "Traceback" not in caplog.text
        kubernetes.secrets[SECRET] = {"credential": "pjagent-good"}  # as a second agent does
        await until(lambda: agent.connected)


async def test_the_token_is_not_spent_when_the_credential_could_not_be_kept(
    run_agent: RunAgent,
    token_file: Path,
    kubernetes: KubeApiServer,
    platform: PlatformEnd,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token_file.write_text("pjreg-1")
    kubernetes.forbidden = True
    async with run_agent() as agent:
        await until(lambda: "cannot be written" in caplog.text)
        assert (platform.tokens, agent.connected) == ({"pjreg-1"}, False)
        kubernetes.forbidden = False
        await until(lambda: agent.connected)
        assert kubernetes.secrets == KEPT


async def test_without_a_token_it_says_what_to_do_and_waits_for_one(
    run_agent: RunAgent, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_agent() as agent:
        await until(lambda: "There is no registration token. Make one" in caplog.text)
        token_file.write_text("pjreg-1")
        await until(lambda: agent.connected)


async def test_a_revoked_credential_is_replaced_by_means_of_a_new_token(
    run_agent: RunAgent,
    kubernetes: KubeApiServer,
    platform: PlatformEnd,
    environment: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    platform.credentials = set()
    async with run_agent() as agent:
        await until(lambda: "refuses the agent's credential, and there is no registration token" in caplog.text)
        assert "This agent's credential was revoked." in caplog.text
        await _registers_anew(agent, kubernetes, platform, environment)


async def test_a_credential_of_another_cluster_is_replaced_by_means_of_a_token_of_its_own(
    run_agent: RunAgent,
    kubernetes: KubeApiServer,
    platform: PlatformEnd,
    environment: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    platform.uids["pjagent-good"] = "uid-of-another"
    async with run_agent() as agent:
        await until(lambda: platform.refusals >= 2)
        assert not agent.connected
        assert "This credential is another cluster's." in caplog.text
        await _registers_anew(agent, kubernetes, platform, environment)


async def test_an_agent_that_cannot_tell_which_cluster_it_is_in_waits(
    run_agent: RunAgent, kubernetes: KubeApiServer, platform: PlatformEnd, caplog: pytest.LogCaptureFixture
) -> None:
    labels = kubernetes.namespaces.pop("kube-system")
    async with run_agent() as agent:
        await until(lambda: "The namespace kube-system, by which the platform knows this cluster" in caplog.text)
        assert platform.hellos == []
        kubernetes.namespaces["kube-system"] = labels
        await until(lambda: agent.connected)
        assert platform.hellos[0].kubernetes is not None
        assert platform.hellos[0].kubernetes.uid == "uid-of-kube-system"


async def test_no_secret_is_ever_logged(
    run_agent: RunAgent, token_file: Path, platform: PlatformEnd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token_file.write_text("pjreg-1")
    async with run_agent() as agent:
        await until(lambda: agent.connected)
        await (await platform.link().open({"kind": "kubernetes", "method": "HEAD", "path": "/version"})).read()
    said = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn"))
    assert "Registered with" in said
    for secret in ("pjreg-1", "pjagent-", "Bearer service-account"):
        assert secret not in said


async def test_a_platform_that_is_not_who_it_should_be_gets_nothing(
    run_agent: RunAgent, token_file: Path, environment: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    environment["PERIJOVE_AGENT_CA_FILE"] = str(Certificates(tmp_path / "other").ca)
    token_file.write_text("pjreg-1")
    async with run_agent() as agent:
        await until(lambda: "certificate verify failed" in caplog.text)
        assert not agent.connected


async def test_a_kubernetes_that_is_away_is_said_and_waited_for(
    run_agent: RunAgent, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    token = Path(environment["PERIJOVE_AGENT_SERVICE_ACCOUNT_DIR"], "token")
    token.rename(token.with_name("away"))
    async with run_agent() as agent:
        await until(lambda: "service account's token cannot be read" in caplog.text)
        token.with_name("away").rename(token)
        await until(lambda: agent.connected)
