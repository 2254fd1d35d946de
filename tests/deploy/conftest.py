"""The chart, rendered by real helm."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import program

CHART = Path(__file__).parents[2] / "deploy" / "charts" / "perijove-agent"
VALUES = Path(__file__).parent / "values"
# Helm is built by the first test here, where it has not been.
SECONDS = 900
KUBERNETES = "1.34.4"
"""For what helm renders without a cluster; what it assumes itself depends on how it was built."""
NAMESPACE = "perijove-agent-test"
RELEASE = "perijove-agent"

Helm = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here wants helm, which is built once on each machine."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Runs helm with folders of its own, so that the user's configuration changes nothing.

    Only what is told ``--kubeconfig`` knows a cluster.
    """
    helm_program = program("helm")
    home = tmp_path_factory.mktemp("helm")
    folders = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    environment = {**os.environ, **folders, "KUBECONFIG": os.devnull}

    def run(*arguments: str, values: dict[str, Any] | None = None) -> "subprocess.CompletedProcess[str]":
        given = ["--values", "-"] if values is not None else []
        if arguments[0] in ("lint", "template"):
            given += ["--kube-version", KUBERNETES]
        return subprocess.run(
            [helm_program, *arguments, *given],
            input=None if values is None else yaml.safe_dump(values),
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="session")
def values() -> Callable[[str], dict[str, Any]]:
    """The values of a file in `values/`, by its name without ending."""
    return lambda name: yaml.safe_load((VALUES / f"{name}.yaml").read_text())


@pytest.fixture(scope="session")
def render(helm: Helm) -> Callable[..., list[dict[str, Any]]]:
    """The objects that the chart makes of some values."""

    def rendered(values: dict[str, Any], *options: str) -> list[dict[str, Any]]:
        done = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *options, values=values)
        assert done.returncode == 0, done.stderr
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    return rendered


@pytest.fixture(scope="session", params=["least", "everything", "bare"])
def objects(
    request: pytest.FixtureRequest,
    render: Callable[..., list[dict[str, Any]]],
    values: Callable[[str], dict[str, Any]],
) -> list[dict[str, Any]]:
    """What the chart makes of each file of values."""
    return render(values(request.param))
