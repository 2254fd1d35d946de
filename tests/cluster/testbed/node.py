"""The node: containerd of its own, the kubelet and kube-proxy."""

import json
import os
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from programs import program

from testbed import kubectl, processes
from testbed.layout import (
    BRIDGE,
    CGROUP,
    CONTAINERD,
    CONTAINERD_SOCKET,
    DNS_ADDRESS,
    KUBELET,
    KUBELET_PORT,
    NODE,
    NODE_ADDRESS,
    PAUSE_IMAGE,
    PKI,
    POD_LOGS,
    POD_NETWORK,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    STATE,
)
from testbed.mounts import unmount_below
from testbed.network import CNI
from testbed.steps import Failed, succeeds, wait_for

CGROUPS = Path("/sys/fs/cgroup")
CONTAINER_LOGS = Path("/var/log/containers")
PLUGINS = Path("/usr/lib/cni")
RESOLV = STATE / "resolv.conf"
# What containerd, its shims, its clients and the kubelet make outside of the folders they are told; inner ones first.
SHARED_FOLDERS = (
    "/run/containerd/s",
    "/run/containerd/fifo",
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni/results",
    "/var/lib/cni/cache",
    "/var/lib/cni",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/usr/libexec/kubernetes",
)
PRESENT = STATE / "present.json"
CONTAINERD_CONFIG = f"""version = 2
root = "{CONTAINERD}/root"
state = "{CONTAINERD}/state"
oom_score = 0
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{CONTAINERD}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # In a machine without CAP_SYS_RESOURCE every sandbox would die otherwise.
  restrict_oom_score_adj = true
  # Below `state`, so that they end with it.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{CNI}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{CONTAINERD}/runc"
      SystemdCgroup = false
"""


def note_present() -> None:
    """Remember which shared folders are there already, so that `stop` removes only what came after."""
    PRESENT.write_text(json.dumps([name for name in SHARED_FOLDERS if Path(name).exists()]))


def start_containerd() -> None:
    CONTAINERD.mkdir()
    config = CONTAINERD / "config.toml"
    config.write_text(CONTAINERD_CONFIG)
    processes.start("containerd", ["containerd", "--config", config])

    def answers() -> bool:
        processes.check("containerd")
        return succeeds(["ctr", "-a", CONTAINERD_SOCKET, "version"])

    wait_for("containerd answers", answers, explain=lambda: processes.last_words("containerd"))


def start_kubelet() -> None:
    for group in _cgroups():
        group.mkdir(exist_ok=True)
    _write_resolv()
    config = STATE / "kubelet.yaml"
    config.write_text(json.dumps(_kubelet_config()))
    flags = [f"--config={config}", f"--kubeconfig={STATE / 'kubelet.kubeconfig'}", f"--hostname-override={NODE}",
             f"--node-ip={NODE_ADDRESS}", f"--root-dir={KUBELET}", f"--cert-dir={PKI}"]  # fmt: skip
    processes.start("kubelet", [program("kubelet"), *flags])


def start_proxy() -> None:
    binding = ["--clusterrole=system:node-proxier", "--user=system:kube-proxy"]
    kubectl.kubectl("create", "clusterrolebinding", "node-proxier", *binding)
    config = STATE / "proxy.yaml"
    config.write_text(json.dumps(_proxy_config()))
    processes.start("kube-proxy", [program("kube-proxy"), "--config", config])


def wait_ready() -> None:
    def ready() -> bool:
        processes.check("kubelet")
        processes.check("kube-proxy")
        if not kubectl.succeeds("get", "node", NODE):
            return False
        conditions = kubectl.get("node", NODE)["status"].get("conditions", [])
        return any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)

    wait_for("the node is Ready", ready, explain=lambda: processes.last_words("kubelet"))
    # Pods cannot be made before their namespace has its account.
    wait_for("the first service account", lambda: kubectl.succeeds("get", "serviceaccount", "default"))


def stop_pods() -> None:
    """End every container with its shim; the kubelet, which would start them again, has ended before."""
    deadline = time.monotonic() + 20
    while pids := _pod_pids() | _shim_pids():
        if time.monotonic() > deadline:
            raise Failed(f"Processes of pods do not end: {sorted(pids)}")
        for pid in pids:
            _kill(pid)
        time.sleep(0.05)


def clean() -> None:
    """Take away mounts, control groups and files that the node made outside of the state folder."""
    unmount_below(STATE)
    for group in _cgroups():
        for folder, _, _ in os.walk(group, topdown=False):
            # One whose last process has just ended may be busy for some moments.
            wait_for(f"{folder} is removed", partial(_removed, Path(folder)), seconds=10)
    for link in CONTAINER_LOGS.glob("*.log") if CONTAINER_LOGS.is_dir() else []:
        if link.is_symlink() and os.readlink(link).startswith(f"{POD_LOGS}/"):
            link.unlink()
    present = json.loads(PRESENT.read_text()) if PRESENT.exists() else list(SHARED_FOLDERS)
    for name in SHARED_FOLDERS:
        if name not in present:
            _remove_leftover(Path(name))


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _remove_leftover(top: Path) -> None:
    """Remove a folder with its empty folders and sockets; one that holds anything else is somebody's."""
    for folder, _, files in os.walk(top, topdown=False):
        for file in files:
            if Path(folder, file).is_socket():
                Path(folder, file).unlink(missing_ok=True)
        if not os.listdir(folder):
            Path(folder).rmdir()


def _cgroups() -> list[Path]:
    """Our control group in each hierarchy, of either version."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / CGROUP]
    return [folder / CGROUP for folder in sorted(CGROUPS.iterdir()) if (folder / "cgroup.procs").exists()]


def _pod_pids() -> set[int]:
    found: set[int] = set()
    for group in _cgroups():
        for folder, _, _ in os.walk(group):
            # containerd, which still runs, removes groups of pods that end meanwhile.
            with suppress(OSError):
                found |= {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split() if pid != "0"}
    return found


def _shim_pids() -> set[int]:
    socket = str(CONTAINERD_SOCKET).encode()
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"containerd-shim-runc-v2") and socket in words:
                found.add(int(folder.name))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _write_resolv() -> None:
    """The machine's name servers, without those that only the machine itself reaches."""
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        lines = []
    servers = [
        line for line in lines if line.startswith("nameserver") and not line.split()[1].startswith(("127.", "::1"))
    ]
    RESOLV.write_text("".join(f"{line}\n" for line in servers))


def _kubelet_config() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": KUBELET_PORT,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(PKI / "kubelet.crt"),
        "tlsPrivateKeyFile": str(PKI / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(RESOLV),
        "podLogsDir": str(POD_LOGS),
        "volumePluginDir": str(STATE / "volume-plugins"),
        "makeIPTablesUtilChains": False,
        "failSwapOn": False,
        # Machines without systemd, and those of the first version of control groups.
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "5s",
    }


def _proxy_config() -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(STATE / "proxy.kubeconfig")},
        "mode": "nftables",
        "clusterCIDR": POD_NETWORK,
        "detectLocalMode": "BridgeInterface",
        "detectLocal": {"bridgeInterface": BRIDGE},
        "hostnameOverride": NODE,
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
        # The kernel's own settings stay as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
