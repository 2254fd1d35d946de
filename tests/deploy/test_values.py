"""Values: all documented, all in the schema, wrong ones refused with a sentence that helps."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "deploy" / "charts" / "perijove-agent"
WITHOUT_COMMENT = re.compile(r"^(resources\.(requests|limits)|networkPolicy\.dns\.(namespaceLabels|podLabels))\.")
"""Kubernetes' own keys within a value."""

Values = dict[str, Any]


def paths(values: Values, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{key}.")


def with_value(values: Values, path: str, value: Any) -> Values:
    changed = copy.deepcopy(values)
    *folders, last = path.split(".")
    place = changed
    for folder in folders:
        place = place.setdefault(folder, {})
    place[last] = value
    return changed


def described(schema: Values, definitions: Values) -> Any:
    """What the schema lists, as nested names: ``None`` where any may stand."""
    schema = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if schema.get("additionalProperties") is not False:
        return None
    return {name: described(inner, definitions) for name, inner in schema["properties"].items()}


def test_every_value_is_explained() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    stack: list[tuple[int, str]] = []
    unexplained, seen = [], []
    for before, line in zip(["", *lines], lines, strict=False):
        found = re.match(r"( *)([A-Za-z][\w./-]*):", line)
        if not found:
            continue
        stack = [entry for entry in stack if entry[0] < len(found[1])] + [(len(found[1]), found[2])]
        path = ".".join(name for _, name in stack)
        seen.append(path)
        group = line.rstrip().endswith(":")
        if not (before.strip().startswith("#") or group or WITHOUT_COMMENT.match(path)):
            unexplained.append(path)
    assert seen == list(paths(yaml.safe_load("\n".join(lines))))
    assert not unexplained


def test_schema_lists_the_values_that_there_are() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    listed = described(schema, schema["definitions"])
    listed.pop("global")

    def compare(values: Values, names: Values | None, prefix: str) -> None:
        if names is None:
            return
        assert set(values) == set(names), prefix
        for key, value in values.items():
            if isinstance(value, dict):
                compare(value, names[key], f"{prefix}{key}.")

    compare(yaml.safe_load((CHART / "values.yaml").read_text()), listed, "")


@pytest.mark.parametrize("name", ["least", "everything", "bare"])
def test_lint_is_clean(helm: Callable[..., Any], values: Callable[[str], Values], name: str) -> None:
    done = helm("lint", "--strict", str(CHART), values=values(name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("platform.url", "", "platform"),
        ("platform.url", "perijove.example.org", "platform"),
        ("platform.url", "https://user:password@perijove.example.org", "platform"),
        ("platform.url", "http://perijove.example.org", "platform.allowPlainHttp=true"),
        ("platform.address", "https://perijove.example.org", "address"),
        ("platform.caBundle", "certificate", "caBundle"),
        ("registration.token", "sk-something", "token"),
        ("registration.token", "pjreg-1", "exclude each other"),
        ("registration.existingSecret.name", "", "POST /v1/clusters"),
        ("credential.create", False, "secretName"),
        ("image.digest", "sha256:1", "digest"),
        ("image.pullPolicy", "Sometimes", "pullPolicy"),
        ("replicas", -1, "replicas"),
        ("replicas", "two", "replicas"),
        ("logLevel", "verbose", "logLevel"),
        ("proxy.url", "http://user:password@proxy:3128", "url"),
        ("proxy.existingSecret.name", "proxy", "networkPolicy.platform.ports"),
        ("serviceAccount.create", False, "Name one"),
        ("rbac.impersonation.users", ["system:admin"], "users"),
        ("rbac.impersonation.groups", ["perijove:*"], "groups"),
        (
            "rbac.projectMember.extraRules",
            [{"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}],
            "extraRules",
        ),
        ("networkPolicy.platform.cidrs", ["perijove.example.org"], "cidrs"),
        ("networkPolicy.apiServer.ports", [], "ports"),
        ("podDisruptionBudget.minAvailable", 0, "minAvailable"),
        ("resources.limits", {"memroy": "1Gi"}, "memroy"),
        ("runAsUser", 0, "runAsUser"),
        ("hostNetwork", True, "hostNetwork"),
    ],
)
def test_wrong_value_is_refused(
    helm: Callable[..., Any], values: Callable[[str], Values], path: str, value: Any, said: str
) -> None:
    done = helm("template", "agent", str(CHART), values=with_value(values("least"), path, value))
    assert done.returncode != 0
    assert said in done.stderr
