"""What no values may bring: privileges, wildcards, a way in."""

import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def pods(objects: list[Object]) -> Iterator[Object]:
    """The spec of every pod."""
    for found in objects:
        if found["kind"] == "Pod":
            yield found["spec"]
        elif "template" in found.get("spec", {}):
            yield found["spec"]["template"]["spec"]


def rules(objects: list[Object]) -> Iterator[Object]:
    for found in objects:
        if found["kind"] in ("ClusterRole", "Role"):
            yield from found["rules"]


def test_pods_fit_the_restricted_standard(objects: list[Object]) -> None:
    found = list(pods(objects))
    assert found
    for pod in found:
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security.get("runAsUser", 1) != 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
        assert not [volume for volume in pod.get("volumes", ()) if "hostPath" in volume]
        assert not pod.get("initContainers")
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not [port for port in container.get("ports", ()) if "hostPort" in port]
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_roles_have_no_wildcards(objects: list[Object]) -> None:
    for rule in rules(objects):
        assert "*" not in str(rule)
        assert "nonResourceURLs" not in rule
        assert not {"escalate", "approve", "sign"} & set(rule["verbs"])
        assert not {"serviceaccounts/token", "nodes/proxy", "certificatesigningrequests"} & set(rule["resources"])


def test_only_our_roles_are_bound(objects: list[Object]) -> None:
    made = {found["metadata"]["name"] for found in objects if found["kind"] in ("ClusterRole", "Role")}
    for found in objects:
        if found["kind"].endswith("RoleBinding"):
            assert found["roleRef"]["name"] in made
            assert [subject["kind"] for subject in found["subjects"]] == ["ServiceAccount"]


def test_secrets_of_others_are_never_read(objects: list[Object]) -> None:
    for rule in rules(objects):
        if "secrets" in rule["resources"] and {"get", "list", "watch"} & set(rule["verbs"]):
            assert rule["resourceNames"]


def test_nothing_connects_to_the_agent(objects: list[Object]) -> None:
    assert not [found for found in objects if found["kind"] in ("Service", "Ingress", "HTTPRoute")]
    for found in objects:
        if found["kind"] == "NetworkPolicy":
            assert sorted(found["spec"]["policyTypes"]) == ["Egress", "Ingress"]
            assert found["spec"]["ingress"] == []
            assert all(rule.get("ports") or rule.get("to") for rule in found["spec"]["egress"])


def test_no_secret_in_commands_or_environment(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod["containers"]:
            told = [*container.get("command", ()), *container.get("args", ())]
            told += [entry.get("value", "") for entry in container["env"]]
            assert not re.search(r"pjreg-|pjagent-|password", " ".join(told))
