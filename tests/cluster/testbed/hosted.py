"""A platform on this machine with its agent in the cluster, as a user would have them.

`Hosted()` is that of ``make cluster``; tests make their own by `Hosted.fresh`, several at the same time.
"""

import http.client
import json
import os
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from programs import program

from testbed import dockerfiles
from testbed.kubectl import apply, get, kubectl, succeeds
from testbed.layout import ADMIN, PLATFORM_PORT, ROOT, STATE
from testbed.people import Person, add_person
from testbed.platforms import CA, Platform
from testbed.ports import free_port
from testbed.steps import Failed, run, wait_for

CHART = ROOT / "deploy" / "charts" / "perijove-agent"
NAME = "testbed"
RELEASE = "perijove-agent"
IMAGE = "docker.io/library/perijove-agent"
DEPLOYMENT = f"deployment/{RELEASE}"
AGENT_SECONDS = 120.0
# Of the one role that all platforms of a cluster share: what members may do besides what the chart gives them.
MEMBER_RULES = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch", "delete"]}]

Json = dict[str, Any]


class Hosted:
    """A platform of one or more replicas, and a cluster of it: this one, by an agent that helm has installed.

    Several can be there at the same time, each with a name of its own: its organization is ``org-<name>``, its project
    ``proj-<name>``, so that neither namespaces nor queues are another's.

    Args:
        name: lower case letters, digits and ``-``, 30 at most; also of the cluster on the platform.
        port: of the platform's address, which pods reach at `url`.
        namespace: the agent's.
        replicas: of the platform; several want `postgres` and stand behind a balancer.
        postgres, s3, tls, settings: see `Platform`.
        values: of the chart, on top of those that it needs here.

    Attributes:
        platform: its processes: ``platform.start(1)``, ``stop``, ``kill``, ``log()``.
        cluster: the cluster's name on the platform.
        project, project_namespace: where jobs run.
    """

    def __init__(
        self,
        name: str = NAME,
        port: int = PLATFORM_PORT,
        *,
        namespace: str | None = None,
        replicas: int = 1,
        postgres: bool = True,
        s3: bool = True,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name):
            raise Failed(f"'{name}' is no name for a platform: up to 30 of a-z, 0-9 and '-'.")
        ports = tuple(free_port() for _ in range(replicas)) if replicas > 1 else ()
        self.platform = Platform(name, port, ports, postgres=postgres, s3=s3, tls=tls, settings=settings or {})
        self.name = self.cluster = name
        self.namespace = namespace or (RELEASE if name == NAME else f"{RELEASE}-{name}")
        self.project = f"proj-{name}"
        self.project_namespace = f"perijove-{self.project}"
        self._values = dict(values or {})

    @classmethod
    def fresh(cls, purpose: str, **more: Any) -> "Hosted":
        """One with a name and a port that nobody else has; `more` is that of the class."""
        return cls(f"{purpose}-{secrets.token_hex(3)}", free_port(), **more)

    # The whole.

    @classmethod
    @contextmanager
    def started(cls, purpose: str, *, images: Iterable[str] = (), **more: Any) -> Iterator["Hosted"]:
        """`fresh` and `start`, and `remove` in the end."""
        found = cls.fresh(purpose, **more)
        try:
            found.start(images)
            yield found
        finally:
            found.remove()

    def start(self, images: Iterable[str] = ()) -> None:
        """Start the platform and install the agent, of the checkout's code; ends when the platform sees the agent.

        Args:
            images: that are built besides the agent's, such as ``trainer``.
        """
        self.start_platform()
        dockerfiles.ensure("agent", *images)
        self.install_agent()

    def remove(self) -> None:
        """End both and delete all that they made, here and in the cluster."""
        kubectl("delete", DEPLOYMENT, "-n", self.namespace, "--ignore-not-found", "--wait=false")
        self.platform.remove()
        self._helm("uninstall", RELEASE, "--ignore-not-found")
        label = f"perijove.dev/project={self.project}"
        projects = get("namespaces", "-l", "perijove.dev/project")["items"]
        mine = [found["metadata"]["name"] for found in projects if self._is_mine(found)]
        kubectl("delete", "namespace", self.namespace, *mine, "--ignore-not-found", "--wait=false")
        kubectl("delete", "clusterqueues.kueue.x-k8s.io", "-l", label, "--wait=false")
        pool = f"perijove-org-{self.name}-pool"
        kubectl("delete", "clusterqueues.kueue.x-k8s.io", pool, "--ignore-not-found", "--wait=false")

    def _is_mine(self, namespace: Json) -> bool:
        """Whether it is one of a project of this platform; those of tests begin with the name of its own."""
        project: str = namespace["metadata"]["labels"]["perijove.dev/project"]
        return project == self.project or project.startswith(f"{self.project}-")

    # The platform.

    @property
    def url(self) -> str:
        """The platform's address, from this machine and from pods."""
        return self.platform.url

    @property
    def ca(self) -> Path | None:
        """What has signed its certificate; ``None`` without TLS."""
        return CA if self.platform.tls else None

    def start_platform(self) -> None:
        self.platform.start()

    def stop_platform(self) -> None:
        self.platform.stop()

    def kill_platform(self) -> None:
        self.platform.kill()

    def restart_platform(self) -> None:
        """End it as an upgrade does, and start it with the code that the checkout has now."""
        self.platform.start()

    def api_key(self) -> str:
        return self.platform.api_key()

    def environment(self, person: Person | None = None, *, replica: int | None = None) -> dict[str, str]:
        """What makes the `perijove` command, notebooks and the openai package use this platform, or a replica of it."""
        key = person.key if person is not None else self.api_key()
        url = self.url if replica is None else self.platform.url_of(replica)
        found = {"PERIJOVE_BASE_URL": url, "PERIJOVE_API_KEY": key}
        return found if self.ca is None else {**found, "SSL_CERT_FILE": str(self.ca)}

    def add_person(self, name: str, *, project: str | None = None, scopes: Iterable[str] | None = None) -> Person:
        """Somebody with a key, of the own project or of another one.

        Args:
            project: what distinguishes the project's id from the own one's: ``b`` is ``proj-<name>-b``.
        """
        project_id = self.project if project is None else f"{self.project}-{project}"
        return add_person(self.platform, name, project=project_id, scopes=scopes)

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A route's answer, as JSON; `Failed` with what the platform says when it refuses."""
        with self.request(method, path, body, key=key) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, seconds: float = 60
    ) -> http.client.HTTPResponse:
        """A route's answer, to be read; for streams too."""
        headers = {"Authorization": f"Bearer {key or self.api_key()}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        try:
            found: http.client.HTTPResponse = urllib.request.urlopen(asked, timeout=seconds, context=self._trust)
        except urllib.error.HTTPError as error:
            raise Failed(f"The platform answered {method} {path} with {error.code}: {error.read().decode()}") from None
        return found

    @cached_property
    def _trust(self) -> Any:
        return self.platform.trust()

    # The agent.

    def install_agent(self, *, chart: Path = CHART, **values: Any) -> None:
        """Register the cluster and install the chart by helm, or upgrade it; ends when the platform sees the agent.

        Args:
            chart: its folder, or a package of another version of it.
            values: of the chart, on top of all others.
        """
        if not succeeds("get", "namespace", self.namespace):
            labels = {"pod-security.kubernetes.io/enforce": "restricted"}
            apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}})
        self._ensure_token()
        self._apply_member_role()
        given = _merged(self._needed_values(), _merged(self._values, values))
        self._helm("upgrade", "--install", RELEASE, chart, "--wait", "--timeout=120s", "--values=-", given=given)
        self.wait_connected()

    def wait_connected(self, connected: bool = True) -> None:
        """Wait until the platform sees the agent, or has noticed that it is away."""
        what = "the agent is connected" if connected else "the agent is away"
        wait_for(what, lambda: self.connected() == connected, seconds=AGENT_SECONDS, explain=self._agent_log)

    def connected(self) -> bool:
        return any(found["name"] == self.cluster and found["state"] == "connected" for found in self._clusters())

    def cluster_id(self) -> str:
        return str(next(found["id"] for found in self._clusters() if found["name"] == self.cluster))

    def agent_pods(self) -> list[str]:
        """Names of the agent's pods that are not about to end."""
        found = get("pods", "-n", self.namespace, "-l", "app.kubernetes.io/component=agent")["items"]
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def kill_agent(self) -> None:
        """End the agent's pods without a farewell; Kubernetes makes others."""
        kubectl("delete", "pod", *self.agent_pods(), "-n", self.namespace, "--grace-period=0", "--force")

    def stop_agent(self) -> None:
        self.scale_agent(0)

    def start_agent(self) -> None:
        self.scale_agent(1)
        self.wait_connected()

    def scale_agent(self, replicas: int) -> None:
        """Ends when that many are Ready."""
        kubectl("scale", DEPLOYMENT, "-n", self.namespace, f"--replicas={replicas}")
        self._rolled_out()
        wait_for(f"there are {replicas} agents", lambda: len(self.agent_pods()) == replicas)

    def restart_agent(self) -> None:
        """Other pods, as after an upgrade of the chart."""
        kubectl("rollout", "restart", DEPLOYMENT, "-n", self.namespace)
        self._rolled_out()
        self.wait_connected()

    def _rolled_out(self) -> None:
        kubectl("rollout", "status", DEPLOYMENT, "-n", self.namespace, f"--timeout={AGENT_SECONDS:.0f}s",
                seconds=AGENT_SECONDS + 30)  # fmt: skip

    def _needed_values(self) -> Json:
        trust = {"caBundle": self.ca.read_text()} if self.ca else {"allowPlainHttp": True}
        return {
            "platform": {"url": self.url, **trust},
            "image": {"repository": IMAGE, "tag": dockerfiles.TAG, "pullPolicy": "IfNotPresent"},
            # Two builds of one tag are two programs: the pods start again.
            "podAnnotations": {"perijove.dev/build": secrets.token_hex(4)},
            "registration": {"existingSecret": {"name": "perijove-registration"}},
            # It has one name in a cluster, and would go with the release that made it.
            "rbac": {"projectMember": {"create": False}},
        }

    def _ensure_token(self) -> None:
        """A registration token in the agent's namespace, unless the agent has a credential."""
        known = any(found["name"] == self.cluster for found in self._clusters())
        if known and self._has_credential():
            return
        if known:
            token = self.call("POST", f"/v1/clusters/{self.cluster}/registration_token")["token"]
        else:
            token = self.call("POST", "/v1/clusters", {"name": self.cluster})["registration_token"]["token"]
        metadata = {"name": "perijove-registration", "namespace": self.namespace}
        apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": token}})

    def _has_credential(self) -> bool:
        name = f"{RELEASE}-credential"
        found = get("secrets", "-n", self.namespace)["items"]
        return any(secret["metadata"]["name"] == name and "data" in secret for secret in found)

    def _apply_member_role(self) -> None:
        values = {**self._needed_values(), "rbac": {"projectMember": {"create": True, "extraRules": MEMBER_RULES}}}
        version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        shown = self._helm("template", RELEASE, CHART, "--show-only=templates/projectmember.yaml",
                           f"--kube-version={version}", "--values=-", given=values)  # fmt: skip
        apply(*yaml.safe_load_all(shown))

    def _helm(self, *arguments: str | Path, given: Json | None = None) -> str:
        folder = STATE / "helm"
        homes = {f"HELM_{name}_HOME": str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        command = [program("helm"), *arguments, f"--namespace={self.namespace}", f"--kubeconfig={ADMIN}"]
        # As JSON: PyYAML leaves 1234e567 without quotes, which helm takes for a number.
        text = None if given is None else json.dumps(given)
        return run(command, given=text, environment={**os.environ, **homes}, seconds=150)

    def _agent_log(self) -> str:
        logs = [kubectl("logs", "-n", self.namespace, name, "--tail=10") for name in self.agent_pods()]
        return "The agent says:\n" + "\n".join(logs)

    def _clusters(self) -> list[Json]:
        found: list[Json] = self.call("GET", "/v1/clusters")["data"]
        return found


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Json:
    """The values of both, the latter's where both have one."""
    result = dict(below)
    for name, value in above.items():
        known = result.get(name)
        result[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return result
