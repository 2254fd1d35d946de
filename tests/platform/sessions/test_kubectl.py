"""Real kubectl through the platform, against a stand-in of the API server; `tests/cluster/` has the real one."""

import asyncio
import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
import yaml
from sessions_platform import Registered, RunningPlatform
from standin_agent import StandInAgent
from standin_api_server import StandInApiServer

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


class Shell:
    """Runs programs as a person does who has set up the platform's address and key."""

    def __init__(self, platform: RunningPlatform, home: Path) -> None:
        assert platform.certificate is not None
        self.config = home / ".kube" / "config"
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "PERIJOVE_BASE_URL": platform.base_url,
            "PERIJOVE_API_KEY": platform.key,
            "SSL_CERT_FILE": str(platform.certificate),
        }

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command, env=self._environment, stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def run(self, *command: str) -> str:
        process = await self.start(*command)
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def fails(self, *command: str) -> str:
        process = await self.start(*command)
        _, err = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode != 0
        return err.decode()


@pytest.fixture
async def shell(tls_platform: RunningPlatform, registered: Registered, tmp_path: Path) -> Shell:
    shell = Shell(tls_platform, tmp_path)
    said = await shell.run("perijove", "kubeconfig", registered.name)
    assert f"perijove-{registered.name}" in said
    return shell


async def test_kubectl_gets_follows_and_executes(
    shell: Shell, agent: StandInAgent, api_server: StandInApiServer
) -> None:
    assert "web" in await shell.run("kubectl", "get", "pods", "-n", "default")
    assert "name: web" in await shell.run("kubectl", "get", "pod", "web", "-n", "default", "-o", "yaml")
    logs = await shell.start("kubectl", "logs", "-f", "web", "-n", "default")
    assert logs.stdout is not None
    for number in range(3):
        api_server.lines.put_nowait(b"step %d\n" % number)
        assert await asyncio.wait_for(logs.stdout.readline(), 120) == b"step %d\n" % number
    api_server.lines.put_nowait(None)
    assert await asyncio.wait_for(logs.wait(), 120) == 0
    assert await shell.run("kubectl", "exec", "web", "-n", "default", "--", "true") == "said in the container\n"
    assert all(target["as"]["user"] == "perijove:user-local" for target in agent.targets)


async def test_kubectl_says_what_is_wrong(shell: Shell, registered: Registered) -> None:
    said = await shell.fails("kubectl", "get", "pods")
    assert f"No agent of cluster '{registered.id}' is connected" in said


async def test_the_kubeconfig_holds_no_secret_and_keeps_what_was_there(
    shell: Shell, tls_platform: RunningPlatform, registered: Registered
) -> None:
    assert stat.S_IMODE(shell.config.stat().st_mode) == 0o600
    await shell.run("kubectl", "config", "set-cluster", "mine", "--server=https://example.org")
    await shell.run("kubectl", "config", "set-context", "mine", "--cluster=mine")
    said = await shell.run("perijove", "kubeconfig", registered.name, "--context", "second", "--json")
    assert json.loads(said) == {"context": "second", "cluster": registered.id, "path": str(shell.config)}
    text = shell.config.read_text()
    assert tls_platform.key not in text and "pjsession" not in text
    names = (await shell.run("kubectl", "config", "get-contexts", "-o", "name")).split()
    assert sorted(names) == ["mine", f"perijove-{registered.name}", "second"]
    assert (await shell.run("kubectl", "config", "current-context")).strip() == "second"
    context = yaml.safe_load(text)["contexts"][-1]["context"]
    assert context == {"cluster": "second", "user": "second", "namespace": "perijove-proj-local"}
    plugin = yaml.safe_load(text)["users"][-1]["user"]["exec"]
    told = {row["name"]: row["value"] for row in plugin["env"]}
    assert told == {"PERIJOVE_BASE_URL": tls_platform.base_url, "SSL_CERT_FILE": str(tls_platform.certificate)}
    printed = yaml.safe_load(await shell.run("perijove", "kubeconfig", registered.id, "--output", "-"))
    assert [entry["name"] for entry in printed["contexts"]] == [f"perijove-{registered.name}"]


async def test_the_credential_is_short_lived(shell: Shell, registered: Registered) -> None:
    credential = yaml.safe_load(await shell.run("perijove", "kube-token", registered.id))
    assert credential["kind"] == "ExecCredential" and credential["status"]["token"].startswith("pjsession-")
    assert "No cluster" in await shell.fails("perijove", "kube-token", "cluster_of_others")
    assert "no Kubernetes cluster" in await shell.fails("perijove", "kubeconfig", "local")
