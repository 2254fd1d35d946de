"""The platform on this machine, and its agent in the cluster by the chart, as a user would have them."""

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from programs import program

from testbed import dockerfiles, processes, services
from testbed.kubectl import apply, get, kubectl, succeeds
from testbed.layout import ADMIN, NODE_ADDRESS, PLATFORM_PORT, ROOT, STATE
from testbed.steps import Failed, run, wait_for

CHART = ROOT / "deploy" / "charts" / "perijove-agent"
DATA = STATE / "platform"
URL = f"http://{NODE_ADDRESS}:{PLATFORM_PORT}"
CLUSTER = "testbed"
RELEASE = NAMESPACE = "perijove-agent"
IMAGE = "docker.io/library/perijove-agent"
START_SECONDS = 120.0


def start_platform() -> None:
    """Start it, anew if it runs, with what the checkout has now: its data in the cluster's PostgreSQL and S3, its
    address one that pods reach."""
    processes.stop("platform")
    settings = {**services.address().settings(), "PERIJOVE_PUBLIC_URL": URL}
    given = {name: value for name, value in os.environ.items() if not name.startswith("PERIJOVE_")}
    command: list[str | Path] = [sys.executable, "-P", "-m", "perijove_platform", "serve", "--data-dir", DATA,
               "--host", NODE_ADDRESS, "--port", str(PLATFORM_PORT)]  # fmt: skip
    processes.start("platform", command, environment={**given, **settings})

    def answers() -> bool:
        processes.check("platform")
        try:
            with urllib.request.urlopen(f"{URL}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_for("the platform answers", answers, seconds=START_SECONDS, explain=lambda: processes.last_words("platform"))


def api_key() -> str:
    return (DATA / "api_key").read_text().strip()


def install_agent() -> None:
    """Register the cluster and install the chart by helm, or upgrade it; ends when the platform sees the agent."""
    values: dict[str, Any] = {
        "platform": {"url": URL, "allowPlainHttp": True},
        "image": {"repository": IMAGE, "tag": dockerfiles.TAG, "pullPolicy": "Never"},
        # Two builds of one tag are two programs: the pods start again.
        "podAnnotations": {"perijove.dev/build": secrets.token_hex(4)},
    }
    if not succeeds("get", "namespace", NAMESPACE):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    if not any(found["name"] == CLUSTER for found in _clusters()):
        created = _call("POST", "/v1/clusters", {"name": CLUSTER})
        token = created["registration_token"]["token"]
        metadata = {"name": "perijove-registration", "namespace": NAMESPACE}
        apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}})
    values["registration"] = {"existingSecret": {"name": "perijove-registration"}}
    folder = STATE / "helm"
    homes = {f"HELM_{name}_HOME": str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    run([program("helm"), "upgrade", "--install", RELEASE, CHART, f"--namespace={NAMESPACE}", f"--kubeconfig={ADMIN}",
         "--wait", "--timeout=120s", "--values=-"],
        given=yaml.safe_dump(values), environment={**os.environ, **homes}, seconds=150)  # fmt: skip
    wait_for("the agent is connected", _connected, explain=_agent_log)


def _connected() -> bool:
    return any(found["name"] == CLUSTER and found["state"] == "connected" for found in _clusters())


def _agent_log() -> str:
    pods = get("pods", "-n", NAMESPACE)["items"]
    logs = [kubectl("logs", "-n", NAMESPACE, pod["metadata"]["name"], "--tail=10") for pod in pods]
    return "The agent says:\n" + "\n".join(logs)


def _clusters() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _call("GET", "/v1/clusters")["data"]
    return found


def _call(method: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {api_key()}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise Failed(f"The platform answered {method} {path} with {error.code}: {error.read().decode()}") from None
