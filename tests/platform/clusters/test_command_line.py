"""`perijove clusters`, against a platform in a process of its own."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from perijove_platform.cli import main
from perijove_platform.discovery import Connection

Cli = Callable[..., Result]


@pytest.fixture
def cli(platform: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    monkeypatch.setenv("PERIJOVE_BASE_URL", platform.base_url)
    monkeypatch.setenv("PERIJOVE_API_KEY", platform.api_key)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["clusters", *arguments])
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result

    yield run
    for cluster in json.loads(run("list", "--json").stdout):
        if cluster["kind"] != "local":
            run("delete", cluster["name"], "--force")


def test_a_cluster_from_its_creation_to_its_end(cli: Cli) -> None:
    made = cli("create", "gpu-1", "--description", "Rack 7", "--token-hours", "2").stdout
    assert made.startswith("registration token  pjreg-")
    assert "helm install perijove-agent" in made
    assert "ADDRESS-OF-THIS-PLATFORM" in made  # a cluster does not reach this machine's loopback
    listed = cli("list").stdout.splitlines()
    assert [line.split()[:2] for line in listed[1:]] == [["local", "connected"], ["gpu-1", "registering"]]
    shown = cli("get", "gpu-1").stdout
    assert "gpu-1: registering – waiting for its agent" in shown
    assert "Rack 7" in shown
    assert "pjreg-" in shown and "valid" in shown
    assert cli("rotate", "gpu-1").stdout.startswith("registration token  pjreg-")
    assert "gpu-1 is revoked" in cli("revoke", "gpu-1").stdout
    assert cli("delete", "gpu-1").stdout.startswith("Deleted cluster_")
    assert "No cluster 'gpu-1'" in cli("get", "gpu-1", code=1).stderr


def test_a_token_that_is_not_shown(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "token"
    made = cli("create", "gpu-1", "--token-file", str(path), "--json")
    token = path.read_text()
    assert token.startswith("pjreg-") and "\n" not in token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in made.output
    assert json.loads(made.stdout)["registration_token"]["token"] is None
    refused = cli("rotate", "gpu-1", "--token-file", str(path), code=1)
    assert "exists" in refused.stderr
    assert path.read_text() == token


def test_quotas(cli: Cli) -> None:
    cli("create", "gpu-1")
    assert "Nothing is set aside" in cli("quota", "gpu-1").stdout
    put = cli("quota", "gpu-1", "proj-local", "cpu=8", "memory=32Gi", "nvidia.com/gpu=2").stdout
    assert put.strip() == "proj-local: cpu=8 memory=32Gi nvidia.com/gpu=2, in the cohort perijove-org-local"
    assert cli("quota", "gpu-1", "proj-local").stdout == put
    assert "cpu=500m, in no cohort" in cli("quota", "gpu-1", "proj-local", "cpu=0.5", "--no-cohort").stdout
    assert "cpu=500m" in cli("quota", "gpu-1").stdout
    assert "not a Kubernetes quantity" in cli("quota", "gpu-1", "proj-local", "cpu=many", code=1).stderr
    assert "uses what the others leave" in cli("quota", "gpu-1", "proj-local", "--clear").stdout


@pytest.mark.parametrize(
    "line",
    [
        "proj-local cpu",
        "proj-local =8",
        "proj-local cpu=8 --clear",
        "proj-local --no-cohort",
        "proj-local cpu=8 --cohort a --no-cohort",
        "--clear",
    ],
)
def test_quotas_that_are_not_understood(cli: Cli, line: str) -> None:
    cli("quota", "gpu-1", *line.split(), code=2)
