"""What platforms share in a cluster, so that none takes it along: somebody else's cluster gets it back as it was."""

import json

from testbed.kubectl import get, kubectl
from testbed.layout import STATE
from testbed.steps import Failed

ROLE = "clusterrole/perijove-project-member"
KUEUES = "resourceflavors.kueue.x-k8s.io,workloadpriorityclasses.kueue.x-k8s.io"
PREFIX = "perijove-"
BEFORE = STATE / "shared-objects.json"


def note() -> None:
    """Remember what there is, before the first platform; `Failed` when the cluster cannot have one."""
    role = kubectl("get", ROLE, "--ignore-not-found", "-o", "json")
    try:
        known = _of_kueue()
    except Failed as error:
        raise Failed(f"The cluster has no Kueue with kueue.x-k8s.io/v1beta2: {error}") from None
    BEFORE.write_text(json.dumps({"role": json.loads(role)["rules"] if role else None, "kueue": list(known)}))


def put_back() -> None:
    """Remove what came since `note`, and give the role the rules that it had."""
    if not BEFORE.exists():
        return
    before = json.loads(BEFORE.read_text())
    if before["role"] is None:
        kubectl("delete", ROLE, "--ignore-not-found")
    else:
        rules = [{"op": "replace", "path": "/rules", "value": before["role"]}]
        kubectl("patch", ROLE, "--type=json", "-p", json.dumps(rules))
    new = [name for uid, name in _of_kueue().items() if uid not in before["kueue"]]
    if new:
        # They go when the queues have gone that use them.
        kubectl("delete", *new, "--ignore-not-found", "--wait=false")


def _of_kueue() -> dict[str, str]:
    """Names by uid, which tells one from its successor: those of a session before may still be going."""
    found = [(item["kind"].lower(), item["metadata"]) for item in get(KUEUES)["items"]]
    return {of["uid"]: f"{kind}.kueue.x-k8s.io/{of['name']}" for kind, of in found if of["name"].startswith(PREFIX)}
