"""Where the test bed keeps things, and its addresses. There is one on a machine: its addresses are fixed.

With a cluster that is named instead, the machine has beside it only what platforms of tests need: S3, PostgreSQL and
certificates, in a folder of its own and at an address that pods of that cluster reach.
"""

import os
from pathlib import Path

from testbed.named import from_environment

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""
HERE = Path(__file__).resolve().parents[1]
MANIFESTS = HERE / "manifests"

NAMED = from_environment(os.environ)
"""``None`` for the test bed of this machine."""

STATE = Path("/var/lib", f"perijove-named-{NAMED.digest}" if NAMED else "perijove-testbed")
"""Everything of a running cluster; short, because sockets lie in it, and removed when it ends."""
PKI = STATE / "pki"
LOGS = STATE / "log"
PIDS = STATE / "pid"
ADMIN = NAMED.kubeconfig if NAMED else STATE / "admin.kubeconfig"
CONTAINERD = STATE / "containerd"
CONTAINERD_SOCKET = CONTAINERD / "containerd.sock"
KUBELET = STATE / "kubelet"
POD_LOGS = STATE / "pod-logs"
AUDIT_LOG = LOGS / "audit.jsonl"

RESULT = ROOT / ".cluster"
"""What a checkout is told of the cluster: `env` and `kubeconfig`."""

NODE = "testbed"
BRIDGE = "pjtestbed0"
BRIDGE_HARDWARE_ADDRESS = "0a:58:0a:f4:00:01"
"""Locally administered; what the container network plugins would make of `NODE_ADDRESS`."""
POD_NETWORK = "10.244.0.0/24"
NODE_ADDRESS = "10.244.0.1"
"""The bridge's own, so that pods reach the API server and the host's services without a route more."""
ADDRESS = NAMED.address if NAMED else NODE_ADDRESS
"""Of this machine, where S3, PostgreSQL and platforms of tests listen and pods reach them."""
FIRST_POD_ADDRESS = "10.244.0.10"
SERVICE_NETWORK = "10.96.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
CNI_NETWORK = "perijove-testbed"
NFT_TABLE = "perijove-testbed"
CGROUP = "perijove-testbed"

API_PORT = 6443
ETCD_PORT = 12379
ETCD_PEER_PORT = 12380
KUBELET_PORT = 10250
PROXY_HEALTH_PORT = 12256
PROXY_METRICS_PORT = 12249
S3_PORT = 19000
POSTGRES_PORT = 15432
PLATFORM_PORT = 18800
NODE_PORTS = (API_PORT, KUBELET_PORT, S3_PORT, POSTGRES_PORT, PLATFORM_PORT)
LOCAL_PORTS = (ETCD_PORT, ETCD_PEER_PORT, PROXY_HEALTH_PORT, PROXY_METRICS_PORT)

PAUSE_IMAGE = "testbed.local/pause:1"
BUSYBOX_IMAGE = "testbed.local/busybox:1"
COREDNS_IMAGE = "testbed.local/coredns:1"
KUEUE_IMAGE = "testbed.local/kueue:1"
LOAD = NAMED.load if NAMED else ("ctr", "-a", str(CONTAINERD_SOCKET), "-n", "k8s.io", "images", "import")
"""Gives an image archive, whose path is appended, to the cluster; empty when a cluster is named without it."""
IMAGE = NAMED.image if NAMED and NAMED.image else BUSYBOX_IMAGE
"""With busybox's programs, for pods of tests."""
