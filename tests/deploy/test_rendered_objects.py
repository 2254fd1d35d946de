"""What the chart makes of values."""

import copy
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from perijove_platform.agent.settings import AgentSettings
from perijove_platform.runtimes.kubernetes.manifests import AGENT_PODS

CHART = Path(__file__).parents[2] / "deploy" / "charts" / "perijove-agent"

Object = dict[str, Any]
Render = Callable[..., list[Object]]
ValuesOf = Callable[[str], Object]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def only(objects: list[Object], kind: str) -> Object:
    (found,) = of_kind(objects, kind)
    return found


def container(objects: list[Object]) -> Object:
    (found,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def environment(objects: list[Object]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container(objects)["env"]}


def test_names_and_labels(objects: list[Object]) -> None:
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)
    for found in objects:
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "perijove-agent"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"  # what the platform makes says `perijove`


@pytest.mark.parametrize(
    ("name", "url", "secret", "token", "authority"),
    [
        ("least", "https://perijove.example.org", "perijove-agent-credential", True, False),
        ("everything", "https://perijove.example.org:8443/platform", "worker-credential", True, True),
        ("bare", "http://10.244.0.1:8000", "brought", False, True),
    ],
)
def test_agent_understands_what_it_is_told(
    render: Render, values: ValuesOf, name: str, url: str, secret: str, token: bool, authority: bool
) -> None:
    objects = render(values(name))
    fields = {"metadata.namespace": "somewhere", "metadata.name": "agent-1"}
    told = {
        variable: value if isinstance(value, str) else fields.get(value.get("fieldRef", {}).get("fieldPath"), "")
        for variable, value in environment(objects).items()
    }
    settings = AgentSettings.from_environment(told)
    assert (settings.platform_url, settings.credential_secret) == (url, secret)
    assert (settings.namespace, settings.instance) == ("somewhere", "agent-1")
    mounts = {mount["name"]: Path(mount["mountPath"]) for mount in container(objects)["volumeMounts"]}
    assert settings.registration_token_file == (mounts["registration"] / "token" if token else None)
    assert settings.ca_file == (mounts["ca"] / "ca.crt" if authority else None)
    assert [port["containerPort"] for port in container(objects)["ports"]] == [settings.health_port]


def test_pod_disruption_budget_only_for_several(render: Render, values: ValuesOf) -> None:
    least = values("least")
    assert not of_kind(render(least), "PodDisruptionBudget")
    several = render({**least, "replicas": 2})
    assert only(several, "PodDisruptionBudget")["spec"]["minAvailable"] == 1
    assert only(render(values("everything")), "PodDisruptionBudget")["spec"]["minAvailable"] == "50%"


def test_what_selects_pods_selects_the_right_ones(render: Render, values: ValuesOf) -> None:
    objects = render(values("everything"))
    agent = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    test = only(objects, "Pod")["metadata"]["labels"].items()
    budget = only(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items()
    deployment = only(objects, "Deployment")["spec"]["selector"]["matchLabels"].items()
    policy = only(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    assert budget <= agent and deployment <= agent and policy <= agent
    assert AGENT_PODS.items() <= agent, "projects let the agent in by these"
    assert policy <= test
    assert not budget <= test and not deployment <= test


def test_agents_are_spread(render: Render, values: ValuesOf) -> None:
    pod = only(render(values("least")), "Deployment")["spec"]["template"]
    constraints = pod["spec"]["topologySpreadConstraints"]
    assert [found["topologyKey"] for found in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for found in constraints:
        assert found["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_registration_token_is_a_file(render: Render, values: ValuesOf) -> None:
    given = render(values("everything"))
    secrets = {found["metadata"]["name"]: found for found in of_kind(given, "Secret")}
    assert secrets["worker-agent-registration"]["stringData"] == {"token": "pjreg-0123456789"}
    others = [found for found in given if found["metadata"]["name"] != "worker-agent-registration"]
    assert "pjreg-0123456789" not in str(others)
    existing = render(values("least"))
    volumes = only(existing, "Deployment")["spec"]["template"]["spec"]["volumes"]
    mounted = next(volume["secret"] for volume in volumes if volume["name"] == "registration")
    assert mounted["secretName"] == "perijove-registration"
    assert mounted["optional"]  # it may be deleted once it was used
    path = environment(existing)["PERIJOVE_AGENT_REGISTRATION_TOKEN_FILE"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(existing)["volumeMounts"]}
    assert path == f"{mounts['registration']}/{mounted['items'][0]['path']}"


def test_upgrade_leaves_the_credential(render: Render, values: ValuesOf) -> None:
    secret = only(render(values("least")), "Secret")
    assert not {"data", "stringData"} & secret.keys()
    without_token = {key: value for key, value in values("least").items() if key != "registration"}
    upgraded = only(render(without_token, "--is-upgrade"), "Secret")
    assert upgraded["metadata"]["name"] == secret["metadata"]["name"]


def test_change_restarts_the_agent(render: Render, values: ValuesOf) -> None:
    """Whatever the agent reads of the chart shows in its pod's template."""
    first = values("everything")
    templates = {digest(only(render(first), "Deployment")["spec"]["template"])}
    for path, value in {
        ("platform", "url"): "https://other.example.org",
        ("platform", "caBundle"): first["platform"]["caBundle"].replace("MIIB", "MIIC"),
        ("registration", "token"): "pjreg-9876543210",
        ("proxy", "url"): "http://other.example.org:3128",
        ("logLevel",): "info",
    }.items():
        changed = copy.deepcopy(first)
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        templates.add(digest(only(render(changed), "Deployment")["spec"]["template"]))
    assert len(templates) == 6


def digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


@pytest.mark.parametrize(("name", "secret"), [("everything", False), ("bare", True)])
def test_proxy(render: Render, values: ValuesOf, name: str, secret: bool) -> None:
    told = environment(render(values(name)))
    if secret:
        assert told["HTTPS_PROXY"] == {"secretKeyRef": {"name": "proxy", "key": "url"}}
    else:
        assert told["HTTPS_PROXY"] == "http://proxy.example.org:3128"
    assert "HTTPS_PROXY" not in environment(render(values("least")))


def test_private_certificate(render: Render, values: ValuesOf) -> None:
    given = render(values("everything"))
    assert "BEGIN CERTIFICATE" in only(given, "ConfigMap")["data"]["ca.crt"]
    brought = only(render(values("bare")), "Deployment")["spec"]["template"]["spec"]["volumes"]
    volume = next(found["configMap"] for found in brought if found["name"] == "ca")
    assert (volume["name"], volume["items"][0]["key"]) == ("company-certificates", "bundle.pem")
    assert not of_kind(render(values("least")), "ConfigMap")


def test_bare_values_leave_only_the_deployment(render: Render, values: ValuesOf) -> None:
    assert [found["kind"] for found in render(values("bare"), "--no-hooks")] == ["Deployment"]


@pytest.mark.parametrize(
    ("url", "proxy", "port"),
    [
        ("https://perijove.example.org", "", 443),
        ("https://perijove.example.org:8443/platform", "", 8443),
        ("http://10.0.0.1", "", 80),
        ("https://[fd00::1]:9443", "", 9443),
        ("https://[fd00::1]", "", 443),
        ("https://perijove.example.org", "http://proxy:3128", 3128),
    ],
)
def test_egress_to_the_platform(render: Render, values: ValuesOf, url: str, proxy: str, port: int) -> None:
    given = {**values("least"), "platform": {"url": url, "allowPlainHttp": True}, "proxy": {"url": proxy}}
    egress = only(render(given), "NetworkPolicy")["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": port}]} in egress


def test_notes_say_what_is_dangerous(helm: Callable[..., Any], values: ValuesOf, tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "chart")
    # Only `helm install` shows the notes, and it wants a cluster: here an object carries them.
    (chart / "templates" / "NOTES.txt").rename(chart / "NOTES.txt")
    (chart / "templates" / "notes.yaml").write_text('notes: {{ tpl (.Files.Get "NOTES.txt") . | quote }}')

    def notes(name: str) -> str:
        options = ["--namespace", "here", "--show-only", "templates/notes.yaml"]
        done = helm("template", "agent", str(chart), *options, values=values(name))
        assert done.returncode == 0, done.stderr
        return yaml.safe_load(done.stdout)["notes"]

    bare, least, everything = notes("bare"), notes("least"), notes("everything")
    assert bare.count("WARNING") == 3
    assert "WARNING" not in least + everything
    assert "may act as any Kubernetes user" in least
    assert "may act as any Kubernetes user" not in everything
