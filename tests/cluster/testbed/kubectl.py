"""Real kubectl as the cluster's administrator."""

import json
from pathlib import Path
from typing import Any

import yaml
from programs import program

from testbed import steps
from testbed.layout import ADMIN


def kubectl(*arguments: str | Path, given: str | None = None, seconds: float = 120) -> str:
    """What it prints; `Failed` with what it said when it does not succeed."""
    return steps.run([program("kubectl"), f"--kubeconfig={ADMIN}", *arguments], given=given, seconds=seconds)


def succeeds(*arguments: str | Path) -> bool:
    return steps.succeeds([program("kubectl"), f"--kubeconfig={ADMIN}", "--request-timeout=5s", *arguments])


def get(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", *arguments, "-o", "json"))
    return found


def apply(*objects: Any) -> None:
    """Apply objects on the server's side."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=yaml.safe_dump_all(objects))
