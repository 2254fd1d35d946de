"""The trainer's environment of this machine, in the pods of a project, as an operator would give it to them."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perijove_platform.discovery import cache_dir
from perijove_platform.runtimes.local.trainer_environment import environment_folder, install
from real_cluster import Cluster

CLAIM = "training-stack"
PLACE = "/opt/stack/site-packages"
"""By this name dill tells installed modules from a person's own, which it would pickle whole."""
OURS = "/opt/perijove/lib"
"""Where the trainer's image has the runner and the trainer."""


def settings() -> dict[str, str]:
    """Of a platform whose fine-tunes find the stack in the volume instead of in their image."""
    return {
        "PERIJOVE_TRAINER_VOLUMES": json.dumps({CLAIM: PLACE}),
        "PERIJOVE_TRAINER_ENVIRONMENT": json.dumps({"PYTHONPATH": f"{OURS}:{PLACE}"}),
    }


def packages() -> Path:
    """The folder of its packages; made first, where no fine-tune has run on this machine yet."""
    install(cache_dir(), lambda line: print(line, file=sys.stderr))
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return environment_folder(cache_dir()) / "lib" / python / "site-packages"


@contextmanager
def claimed(cluster: Cluster, project_id: str, folder: Path | None = None) -> Iterator[str]:
    """A namespace of the project's, which is as the platform makes it, with a claim of the volume in it.

    The volume is the administrator's. Pods only see a claim, so that they stay within the restricted Pod Security
    standard, which lets no pod name a folder of its node.

    Args:
        folder: another one than that of the training stack.

    Yields:
        the name of the namespace, which is deleted at the end.
    """
    namespace = f"perijove-{project_id}"
    labels = {"perijove.dev/project": project_id, "pod-security.kubernetes.io/enforce": "restricted"}
    shared = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    volume = {
        **shared,
        "capacity": {"storage": "10Gi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": namespace, "name": CLAIM},
        "hostPath": {"path": str(folder or packages()), "type": "Directory"},
    }
    claim = {**shared, "volumeName": namespace, "resources": {"requests": {"storage": "10Gi"}}}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": volume},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM, "namespace": namespace},
            "spec": claim,
        },
    )
    try:
        cluster.must("wait", "-n", namespace, f"pvc/{CLAIM}", "--for=jsonpath={.status.phase}=Bound", "--timeout=60s")
        yield namespace
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--timeout=60s")
        cluster.kubectl("delete", "persistentvolume", namespace, "--wait=false")
