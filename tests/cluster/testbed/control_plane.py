"""etcd, the API server with its audit log, the controllers and the scheduler."""

from collections.abc import Sequence

from programs import program

from testbed import kubectl, processes
from testbed.layout import (
    API_PORT,
    AUDIT_LOG,
    ETCD_PEER_PORT,
    ETCD_PORT,
    MANIFESTS,
    NODE_ADDRESS,
    PKI,
    SERVICE_NETWORK,
    STATE,
)
from testbed.steps import wait_for

ETCD = f"http://127.0.0.1:{ETCD_PORT}"
ETCD_PEERS = f"http://127.0.0.1:{ETCD_PEER_PORT}"
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def start() -> None:
    _start("etcd", [
        f"--data-dir={STATE / 'etcd'}", f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={ETCD_PEERS}", f"--initial-advertise-peer-urls={ETCD_PEERS}",
        f"--initial-cluster=default={ETCD_PEERS}", "--unsafe-no-fsync",
    ])  # fmt: skip
    start_api_server()
    _start("kube-controller-manager", [
        f"--kubeconfig={STATE / 'controller-manager.kubeconfig'}", f"--cluster-signing-cert-file={PKI / 'ca.crt'}",
        f"--cluster-signing-key-file={PKI / 'ca.key'}", f"--root-ca-file={PKI / 'ca.crt'}",
        f"--service-account-private-key-file={PKI / 'sa.key'}", "--use-service-account-credentials",
        "--leader-elect=false", "--secure-port=0", f"--service-cluster-ip-range={SERVICE_NETWORK}",
    ])  # fmt: skip
    _start("kube-scheduler", [
        f"--kubeconfig={STATE / 'scheduler.kubeconfig'}", "--leader-elect=false", "--secure-port=0",
    ])  # fmt: skip


def start_api_server() -> None:
    _start("kube-apiserver", [*_api_server(), *_aggregation(), *_audit()])
    wait_for("the API server is ready", _ready, explain=lambda: processes.last_words("kube-apiserver"))


def kill_api_server() -> None:
    """Without a farewell; what it knew is in etcd."""
    processes.kill("kube-apiserver")


def _start(name: str, flags: Sequence[str]) -> None:
    processes.start(name, [program(name), *flags])


def _ready() -> bool:
    processes.check("etcd")
    processes.check("kube-apiserver")
    return kubectl.succeeds("get", "--raw", "/readyz")


def _api_server() -> list[str]:
    return [
        f"--etcd-servers={ETCD}", f"--bind-address={NODE_ADDRESS}", f"--advertise-address={NODE_ADDRESS}",
        f"--secure-port={API_PORT}", f"--service-cluster-ip-range={SERVICE_NETWORK}", f"--cert-dir={PKI}",
        f"--tls-cert-file={PKI / 'apiserver.crt'}", f"--tls-private-key-file={PKI / 'apiserver.key'}",
        f"--client-ca-file={PKI / 'ca.crt'}", f"--service-account-key-file={PKI / 'sa.pub'}",
        f"--service-account-signing-key-file={PKI / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--kubelet-client-certificate={PKI / 'admin.crt'}", f"--kubelet-client-key={PKI / 'admin.key'}",
        f"--kubelet-certificate-authority={PKI / 'ca.crt'}", "--kubelet-preferred-address-types=InternalIP",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
    ]  # fmt: skip


def _aggregation() -> list[str]:
    """For API servers in pods, such as Kueue's visibility."""
    return [
        "--enable-aggregator-routing", f"--requestheader-client-ca-file={PKI / 'ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={PKI / 'front-proxy.crt'}", f"--proxy-client-key-file={PKI / 'front-proxy.key'}",
    ]  # fmt: skip


def _audit() -> list[str]:
    return [
        f"--audit-policy-file={MANIFESTS / 'audit-policy.yaml'}", f"--audit-log-path={AUDIT_LOG}",
        "--audit-log-maxsize=100", "--audit-log-maxbackup=1",
    ]  # fmt: skip
