"""What tests do with a real cluster: kubectl as its administrator, and pods that any cluster accepts."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from programs import program
from testbed.cluster import Use

Done = subprocess.CompletedProcess[str]
Object = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster with Kueue, and real kubectl as its administrator.

    Attributes:
        image: one with busybox's programs.
        use: of what this machine has of it or beside it; ``None`` when that is nothing: a cluster was named, and no
            way to give images to it.
    """

    kubeconfig: Path
    image: str
    use: Use | None = None

    def command(self, *arguments: str) -> list[str]:
        return [str(program("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]

    def kubectl(self, *arguments: str, given: str | None = None, seconds: float = 120) -> Done:
        return subprocess.run(self.command(*arguments), input=given, capture_output=True, text=True, timeout=seconds)

    def must(self, *arguments: str, given: str | None = None) -> str:
        done = self.kubectl(*arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> Object:
        found: Object = yaml.safe_load(self.must("get", *arguments, "-o", "json"))
        return found

    def apply(self, *objects: Object) -> None:
        self.must("apply", "--server-side", "-f", "-", given=yaml.safe_dump_all(objects))


def pod_spec(image: str, command: list[str], *, listens: int | None = None, **resources: str) -> Object:
    """A pod's spec that the restricted Pod Security standard accepts.

    Args:
        listens: the pod is Ready once this port is.
        resources: what it requests, such as ``cpu="100m"``.
    """
    container: Object = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": {"requests": resources},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if listens is not None:
        container["readinessProbe"] = {"tcpSocket": {"port": listens}, "periodSeconds": 1, "timeoutSeconds": 10}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
