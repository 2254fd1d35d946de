"""The roles that the chart makes are those that the operators' page lists, and suffice for what the platform reads."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perijove_platform.runtimes.kubernetes import objects as kubernetes
from perijove_platform.runtimes.kubernetes.capacity import KUEUE_DEPLOYMENT

PAGE = Path(__file__).parents[2] / "docs" / "operators" / "agent-chart.md"
TABLES = {
    "The platform's own work": ("ClusterRole", "perijove-agent-test-perijove-agent"),
    "People's requests": ("ClusterRole", "perijove-agent-test-perijove-agent-impersonation"),
    "Its own namespace": ("Role", "perijove-agent"),
    "What people may do": ("ClusterRole", "perijove-project-member"),
}
NAMES = {"its credential": "perijove-agent-credential"}
"""What the page calls by other words than its name."""

VERBS = {
    "get": {"get"},
    "Reflector": {"list", "watch"},
    "apply": {"create", "patch"},
    "_apply": {"create", "patch"},
    "patch": {"patch"},
    "delete": {"delete"},
}
"""What a call of `KubernetesClient`, or one that rests on it, takes."""
OTHERWISE_USED = {
    ("", "pods", "get", ""),  # the agent, before it dials one
    ("", "pods/log", "get", ""),  # KubernetesClient.log
    ("rbac.authorization.k8s.io", "clusterroles", "bind", "perijove-project-member"),
}

Object = dict[str, Any]
Right = tuple[str, str, str, str]
"""Group, resource, verb, and the one name that it is limited to."""


def documented(heading: str) -> list[Right]:
    """The table under a heading."""
    section = re.search(rf"^##+ {heading}\n(.*?)(?=^##)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section, heading
    rights = []
    for line in section[1].splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] == "group" or set(cells[0]) == {"-"}:
            continue
        group, resource, verbs, only, why = cells
        assert why, line
        name = NAMES.get(only, only)
        rights += [("" if group == "core" else group, resource, verb, name) for verb in verbs.split(", ")]
    return rights


def granted(role: Object) -> list[Right]:
    return [
        (group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]


def roles(render: Callable[..., list[Object]], values: Object) -> dict[tuple[str, str], Object]:
    rendered = (found for found in render(values) if found["kind"] in ("ClusterRole", "Role"))
    return {(found["kind"], found["metadata"]["name"]): found for found in rendered}


def test_page_lists_every_right(render: Callable[..., list[Object]], values: Callable[[str], Object]) -> None:
    made = roles(render, values("least"))
    assert set(made) == set(TABLES.values())
    for heading, key in TABLES.items():
        assert sorted(granted(made[key])) == sorted(documented(heading)), heading


def used() -> set[Right]:
    """What the code of `runtimes/kubernetes` asks of the kinds that it names."""
    text = "".join(file.read_text() for file in sorted(Path(kubernetes.__file__).parent.glob("*.py")))
    rights = set()
    for call, kind in re.findall(rf"\b({'|'.join(VERBS)})\(\s*(?:\w*client,\s+)?([A-Z][A-Z_]+)\b", text):
        found = getattr(kubernetes, kind)
        name = KUEUE_DEPLOYMENT if found is kubernetes.DEPLOYMENTS else ""
        rights |= {(found.group, found.plural, verb, name) for verb in VERBS[call]}
    return rights


def test_rights_are_those_that_are_used(render: Callable[..., list[Object]], values: Callable[[str], Object]) -> None:
    own = roles(render, values("least"))[TABLES["The platform's own work"]]
    assert set(granted(own)) == used() | OTHERWISE_USED


def test_names_limit_impersonation(render: Callable[..., list[Object]], values: Callable[[str], Object]) -> None:
    given = values("everything")
    found = next(role for (_, name), role in roles(render, given).items() if name.endswith("-impersonation"))
    limits = {rule["resources"][0]: rule.get("resourceNames") for rule in found["rules"]}
    assert limits["users"] == given["rbac"]["impersonation"]["users"]
    assert limits["groups"] == given["rbac"]["impersonation"]["groups"]
    off = {**values("least"), "rbac": {"impersonation": {"enabled": False}}}
    assert "impersonate" not in str(roles(render, off))
