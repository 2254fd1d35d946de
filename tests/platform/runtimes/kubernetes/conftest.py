"""The control plane of `control_plane`, once for all tests that need it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.kubeconfig import connect

from .control_plane import PROGRAMS, ControlPlane, LoopbackTunnels, install_kueue, prepare, testbed_programs
from .kubelet import Kubelet
from .place import Place


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the control plane needs the programs of the test bed."""
    for item in items:
        if "control_plane" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    programs = testbed_programs()
    folder_of_programs = Path(os.environ.get("PERIJOVE_TESTBED_BIN") or programs.cache() / "bin")
    built = {name: folder_of_programs / name for name in PROGRAMS}
    if missing := [name for name, path in built.items() if not path.exists()]:
        pytest.skip(f"not built yet: {', '.join(missing)}; 'make cluster' builds them")
    with tempfile.TemporaryDirectory(prefix="perijove-control-plane-") as folder:
        plane = prepare(Path(folder), built)
        try:
            for name in ("etcd", "kube-apiserver"):
                plane.start(name)
            asyncio.run(install_kueue(plane.kubeconfig, programs.source_folder("kueue")))
            plane.start("kube-controller-manager")
            plane.start("kueue")
            yield plane
        except BaseException:
            for log in Path(folder).glob("*.log"):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
            raise
        finally:
            for name in list(plane.running)[::-1]:
                plane.stop(name)


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubernetesClient]:
    """As an administrator, straight to the API server."""
    transport = connect(control_plane.kubeconfig)
    yield KubernetesClient(transport)
    await transport.close()


@pytest.fixture
async def tunnels(control_plane: ControlPlane) -> AsyncIterator[LoopbackTunnels]:
    found = LoopbackTunnels(control_plane)
    yield found
    await found.close()


@pytest.fixture
def kubelet(client: KubernetesClient) -> Kubelet:
    return Kubelet(client)


@pytest.fixture
async def place(tunnels: LoopbackTunnels, tmp_path: Path) -> AsyncIterator[Place]:
    found = Place(tunnels, tmp_path / "jobs")
    await found.start()
    yield found
    await found.stop()
