"""What must be on the machine: Linux, root, and some of Debian's packages; fewer beside a cluster that is named."""

import os
import shutil
import sys
from pathlib import Path

from testbed.layout import NAMED
from testbed.steps import Failed, run, say

# A package and a file of it that is looked for: a program's name, or a path.
OF_NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "nftables": "nft",
    "iproute2": "ip",
    "conntrack": "conntrack",
    "socat": "socat",
}
NEEDED = {"openssl": "openssl", "busybox-static": "/bin/busybox", **({} if NAMED else OF_NODE)}
FOR_IMAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}


def cannot_run() -> str | None:
    """Why there can be no test bed here, nor images for another cluster, in one line; ``None`` when there can."""
    if sys.platform != "linux":
        return "the test bed needs Linux, and so do builds of images"
    if os.geteuid() != 0:
        return "the test bed needs root, and so do builds of images: they make mounts and containers"
    if missing(NEEDED) and shutil.which("apt-get") is None:
        return f"not installed, and there is no apt-get: {', '.join(missing(NEEDED))}"
    return None


def ensure() -> None:
    """Install what is missing; `Failed` with the command to type where that cannot be done."""
    reason = cannot_run()
    if reason is not None:
        raise Failed(f"{reason[0].upper()}{reason[1:]}.")
    wanted = missing({**NEEDED, **FOR_IMAGES})
    if not wanted:
        return
    say(f"installing Debian packages: {' '.join(wanted)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    try:
        run(["apt-get", "update"], environment=environment, seconds=300)
        run(install, environment=environment, seconds=600)
    except Failed as error:
        raise Failed(f"{error}\nInstall them yourself: {' '.join(install)}") from None


def missing(packages: dict[str, str]) -> list[str]:
    return [name for name, file in packages.items() if not _present(file)]


def _present(file: str) -> bool:
    return Path(file).exists() if file.startswith("/") else shutil.which(file) is not None
