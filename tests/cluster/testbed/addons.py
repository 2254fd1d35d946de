"""What every cluster has besides Kubernetes: CoreDNS, and Kueue with its webhooks and its visibility API."""

from typing import Any

import yaml
from programs import source_folder

from testbed import images
from testbed.kubectl import apply, get, kubectl, succeeds
from testbed.layout import COREDNS_IMAGE, DNS_ADDRESS, KUEUE_IMAGE, MANIFESTS
from testbed.node import RESOLV
from testbed.steps import Failed, wait_for

VISIBILITY = "v1beta2.visibility.kueue.x-k8s.io"
READY_SECONDS = 180.0


def start_coredns() -> None:
    images.import_coredns()
    text = (MANIFESTS / "coredns.yaml").read_text()
    for name, value in {"IMAGE": COREDNS_IMAGE, "ADDRESS": DNS_ADDRESS, "FORWARD": _forward()}.items():
        text = text.replace(f"${name}", value)
    apply(*yaml.safe_load_all(text))


def start_kueue() -> None:
    """Kueue as its own kustomization makes it, only with the image that was built here."""
    images.import_kueue()
    rendered = kubectl("kustomize", source_folder("kueue") / "config" / "default")
    apply(*(_with_own_image(found) for found in yaml.safe_load_all(rendered)))


def wait_ready() -> None:
    for namespace, name in (("kube-system", "coredns"), ("kueue-system", "kueue-controller-manager")):
        kubectl("-n", namespace, "rollout", "status", f"deployment/{name}", f"--timeout={READY_SECONDS:.0f}s",
                seconds=READY_SECONDS + 30)  # fmt: skip
    wait_for("Kueue's visibility API answers", lambda: _available(VISIBILITY), seconds=READY_SECONDS)
    # Its webhooks answer some moments after its own probe does.
    flavor = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "probe"}}
    probe = yaml.safe_dump(flavor)
    wait_for("Kueue's webhooks answer", lambda: _accepted(probe), seconds=READY_SECONDS)
    # One that was killed holds its lease on for some seconds, in which nobody makes Workloads.
    wait_for("Kueue leads", _leads, seconds=READY_SECONDS)


def _leads() -> bool:
    pods = {item["metadata"]["name"] for item in get("pods", "-n", "kueue-system")["items"]}
    leases = get("leases", "-n", "kueue-system")["items"]
    return any(str(lease["spec"].get("holderIdentity")).partition("_")[0] in pods for lease in leases)


def _available(name: str) -> bool:
    if not succeeds("get", "apiservice", name):
        return False
    conditions = get("apiservice", name)["status"].get("conditions", [])
    return any(row["type"] == "Available" and row["status"] == "True" for row in conditions)


def _accepted(manifest: str) -> bool:
    try:
        kubectl("create", "--dry-run=server", "-f", "-", given=manifest, seconds=20)
    except Failed:
        return False
    return True


def _forward() -> str:
    """Names outside the cluster are asked of the machine's own servers, where pods can reach any."""
    return "forward . /etc/resolv.conf" if RESOLV.read_text() else ""


def _with_own_image(found: dict[str, Any]) -> dict[str, Any]:
    if found["kind"] == "Deployment":
        for container in found["spec"]["template"]["spec"]["containers"]:
            container |= {"image": KUEUE_IMAGE, "imagePullPolicy": "Never"}
            # The node is small, and quota is what is left of it.
            container["resources"]["requests"] = {"cpu": "50m", "memory": "128Mi"}
            # A machine that is busy with tests answers late, and Kueue's end would be that of every pod's admission.
            for probe in ("livenessProbe", "readinessProbe"):
                container[probe] |= {"timeoutSeconds": 20, "failureThreshold": 10}
    return found
