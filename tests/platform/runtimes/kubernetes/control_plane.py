"""A real control plane without nodes: etcd, kube-apiserver, kube-controller-manager and Kueue as plain processes.

It needs no privileges and starts in seconds. What a kubelet would do, run pods, is played by `Kubelet`, which writes
what a kubelet would write; pods that really run are in `tests/cluster`, which also builds these programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from free_ports import free_port
from perijove_platform.agent.apiserver import ApiServer, ServiceAccount
from perijove_platform.agent.kubernetes import KubernetesTarget
from perijove_platform.runtimes.kubernetes.client import KubernetesClient
from perijove_platform.runtimes.kubernetes.failures import KubernetesError
from perijove_platform.runtimes.kubernetes.kubeconfig import connect
from perijove_platform.runtimes.kubernetes.objects import (
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    NAMESPACES,
    PRIORITY_CLASSES,
    RESOURCE_FLAVORS,
    SECRETS,
    WORKLOADS,
    ResourceType,
)
from perijove_platform.tunnel import ChannelClosed, Link, Stream

ROOT = Path(__file__).parents[4]
CRDS = ResourceType(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kueue")
START_SECONDS = 90
TOKEN = "test-administrator"
KUEUE_CONFIG = """
apiVersion: config.kueue.x-k8s.io/v1beta2
kind: Configuration
health: {{healthProbeBindAddress: "127.0.0.1:{health}"}}
metrics: {{bindAddress: "0"}}
webhook: {{port: {webhook}, certDir: "{certificates}"}}
leaderElection: {{leaderElect: false}}
internalCertManagement: {{enable: true}}
clientConnection: {{qps: 500, burst: 1000}}
integrations: {{frameworks: ["batch/job"]}}
managedJobsNamespaceSelector:
  matchExpressions:
  - {{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, kueue-system]}}
  - {{key: "{passed_over}", operator: DoesNotExist}}
"""
PASSED_OVER = "test/passed-over"
"""Label of namespaces whose Jobs Kueue leaves alone."""


WEBHOOKS = """
{apiVersion: v1, kind: Namespace, metadata: {name: kueue-system}}
---
{apiVersion: v1, kind: Secret, metadata: {name: kueue-webhook-server-cert, namespace: kueue-system}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: kueue-mutating-webhook-configuration}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: kueue-validating-webhook-configuration}
"""
CONVERSION = {
    "strategy": "Webhook",
    "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/convert"}},
}
_ADMISSION = "admissionregistration.k8s.io"
_TYPES = {
    "Namespace": NAMESPACES,
    "Secret": SECRETS,
    "MutatingWebhookConfiguration": ResourceType(
        _ADMISSION, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False
    ),
    "ValidatingWebhookConfiguration": ResourceType(
        _ADMISSION, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", namespaced=False
    ),
}


@dataclass
class ControlPlane:
    """Where it answers, and its processes by name."""

    kubeconfig: Path
    port: int
    processes: dict[str, Callable[[], subprocess.Popen[bytes]]]
    running: dict[str, subprocess.Popen[bytes]]

    def start(self, name: str) -> None:
        self.running[name] = self.processes[name]()

    @contextlib.contextmanager
    def away(self, name: str) -> Iterator[None]:
        """Stopped meanwhile, and started again however that ends: all other tests need it."""
        self.stop(name)
        try:
            yield
        finally:
            self.start(name)

    def stop(self, name: str) -> None:
        """At once, as a crash would: a polite stop waits for watches to end, up to a minute."""
        process = self.running.pop(name)
        process.kill()
        process.wait()


class LoopbackTunnels:
    """`Tunnels` to the control plane in this process: a real link, the agent's real end of its streams.

    Attributes:
        channels: how many there have been.
    """

    def __init__(self, plane: ControlPlane) -> None:
        account = plane.kubeconfig.parent / "account"
        account.mkdir(exist_ok=True)
        (account / "token").write_text(TOKEN)
        (account / "ca.crt").write_bytes((plane.kubeconfig.parent / "api/apiserver.crt").read_bytes())
        server = ApiServer("127.0.0.1", plane.port, ServiceAccount(account))
        self._links: tuple[Link, Link] = (
            Link(initiator=True),
            Link(initiator=False, accept=KubernetesTarget(server).serve),
        )
        self._ends: list[QueueChannel] = []
        self._dialling = asyncio.create_task(self._dial())
        self.connections: asyncio.Queue[bool] = asyncio.Queue()
        self.channels = 0

    async def open(self, cluster_id: str, target: Mapping[str, Any]) -> Stream:
        return self._links[0].begin(target)

    def connected(self, cluster_id: str) -> bool:
        return True

    async def watch(self) -> AsyncIterator[tuple[str, bool]]:
        while True:
            yield "", await self.connections.get()

    async def _dial(self) -> None:
        platform, agent = self._links
        while True:
            there: asyncio.Queue[bytes | None] = asyncio.Queue(64)
            back: asyncio.Queue[bytes | None] = asyncio.Queue(64)
            self._ends = [QueueChannel(there, back), QueueChannel(back, there)]
            self.channels += 1
            await asyncio.gather(
                platform.serve(self._ends[0], agent.received),
                agent.serve(self._ends[1], platform.received),
                return_exceptions=True,
            )

    async def cut(self) -> None:
        """The channel breaks, what is on its way is lost, and the agent dials again."""
        await self._ends[0].close()

    async def close(self) -> None:
        self._dialling.cancel()
        for link in self._links:
            link.close()


class QueueChannel:
    """One end of a channel in this process."""

    def __init__(self, outgoing: asyncio.Queue[bytes | None], incoming: asyncio.Queue[bytes | None]) -> None:
        self._outgoing, self._incoming = outgoing, incoming
        self._closed = False

    async def send(self, message: bytes) -> None:
        if self._closed:
            raise ChannelClosed("cut")
        await self._outgoing.put(message)

    async def receive(self) -> bytes:
        message = None if self._closed else await self._incoming.get()
        if message is None:
            self._closed = True
            raise ChannelClosed("cut")
        return message

    async def close(self, code: int = 1000) -> None:
        self._closed = True
        for queue in (self._outgoing, self._incoming):
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)


def testbed_programs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("testbed_programs", ROOT / "tests/cluster/programs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def prepare(folder: Path, built: Mapping[str, Path]) -> ControlPlane:
    for command in (
        ["openssl", "genrsa", "-out", "accounts.key", "2048"],
        ["openssl", "rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub"],
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=webhook",
            "-keyout",
            "tls.key",
            "-out",
            "tls.crt",
            "-days",
            "2",
        ],  # fmt: skip
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{TOKEN},administrator,1,"system:masters"\n')
    api, etcd, peer, health, webhook, controllers = (free_port() for _ in range(6))
    user, cluster = {"token": TOKEN}, {"server": f"https://127.0.0.1:{api}", "insecure-skip-tls-verify": True}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "t", "cluster": cluster}],
                "users": [{"name": "t", "user": user}],
                "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
                "current-context": "t",
            }
        )
    )
    config = KUEUE_CONFIG.format(health=health, webhook=webhook, certificates=folder, passed_over=PASSED_OVER)
    (folder / "kueue.yaml").write_text(config)
    arguments = {
        "etcd": ["--data-dir", "etcd", "--unsafe-no-fsync", "--listen-client-urls", f"http://127.0.0.1:{etcd}",
                 "--advertise-client-urls", f"http://127.0.0.1:{etcd}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                 "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                 "--initial-cluster", f"default=http://127.0.0.1:{peer}"],
        "kube-apiserver": ["--etcd-servers", f"http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1",
                           f"--secure-port={api}", "--cert-dir=api", "--token-auth-file=tokens.csv",
                           "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/24",
                           "--service-account-issuer=https://kubernetes.default.svc",
                           "--service-account-key-file=accounts.pub", "--service-account-signing-key-file=accounts.key",
                           "--endpoint-reconciler-type=none"],
        "kube-controller-manager": ["--kubeconfig", str(kubeconfig), "--leader-elect=false",
                                    "--service-account-private-key-file=accounts.key",
                                    "--use-service-account-credentials=false", f"--secure-port={controllers}",
                                    "--bind-address=127.0.0.1", "--cert-dir=controllers",
                                    "--controllers=job-controller,garbage-collector-controller,serviceaccount-controller,"
                                    "namespace-controller,ttl-after-finished-controller,disruption-controller"],
        "kueue": ["--config=kueue.yaml", "--feature-gates=VisibilityOnDemand=false"],
    }  # fmt: skip
    return ControlPlane(
        kubeconfig,
        api,
        {name: _starter(folder, kubeconfig, name, [str(built[name]), *arguments[name]]) for name in PROGRAMS},
        {},
    )


def _starter(folder: Path, kubeconfig: Path, name: str, command: list[str]) -> Callable[[], subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("ab") as log:
            environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    return start


async def install_kueue(kubeconfig: Path, module: Path) -> None:
    transport = connect(kubeconfig)
    client = KubernetesClient(transport)
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(Exception):
            async for chunk in client.stream("/readyz"):
                assert chunk
            break
        assert time.monotonic() < deadline, "kube-apiserver does not become ready"
        await asyncio.sleep(0.1)
    for file in sorted((module / "config/components/crd/bases").glob("*.yaml")):
        definition = yaml.safe_load(file.read_text())
        definition["spec"]["conversion"] = CONVERSION
        await client.apply(CRDS, definition)
    # Without an address that the API server could call, Kueue's webhooks take no part; it asks for their objects alone.
    for manifest in yaml.safe_load_all(WEBHOOKS):
        await client.apply(_TYPES[manifest["kind"]], manifest)
    async with asyncio.timeout(START_SECONDS):
        for type in (WORKLOADS, LOCAL_QUEUES, CLUSTER_QUEUES, RESOURCE_FLAVORS, PRIORITY_CLASSES):
            while not await _is_served(client, type):
                await asyncio.sleep(0.1)
    await transport.close()


async def _is_served(client: KubernetesClient, type: ResourceType) -> bool:
    try:
        return [page async for page in client.list(type)] != []
    except KubernetesError:
        return False
