"""A cluster that is not the test bed: somebody else's, which `PERIJOVE_TEST_KUBECONFIG` names."""

import hashlib
import ipaddress
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

KUBECONFIG = "PERIJOVE_TEST_KUBECONFIG"
ADDRESS = "PERIJOVE_TEST_ADDRESS"
LOAD = "PERIJOVE_TEST_LOAD"
IMAGE = "PERIJOVE_TEST_IMAGE"
NOWHERE = "192.0.2.1"
"""In no network (RFC 5737), so that the way to it is the default route."""


@dataclass(frozen=True)
class Named:
    """What the environment says of it.

    Attributes:
        kubeconfig: its administrator's.
        server: address of its API server.
        address: of this machine, which its pods reach; empty when none is given or found.
        load: a command that gives it the image archive whose path is appended; empty when none is given.
        image: one with busybox's programs; empty when that of the test bed is to be given to it.
    """

    kubeconfig: Path
    server: str
    address: str
    load: tuple[str, ...]
    image: str

    @property
    def digest(self) -> str:
        """Tells it from another one, and from itself with another address of this machine."""
        return hashlib.sha256(f"{self.server} {self.address}".encode()).hexdigest()[:8]


def from_environment(environment: Mapping[str, str]) -> Named | None:
    """``None`` when none is named; the program ends with a line when that is no kubeconfig."""
    given = environment.get(KUBECONFIG)
    if not given:
        return None
    kubeconfig = Path(given).absolute()
    try:
        server = _server(kubeconfig)
    except (OSError, yaml.YAMLError, LookupError, TypeError) as error:
        sys.exit(f"{KUBECONFIG}={given} is no kubeconfig with a current context: {error!r}")
    address = environment.get(ADDRESS) or _address_towards(urlsplit(server).hostname or NOWHERE)
    load = tuple(shlex.split(environment.get(LOAD, "")))
    image = environment.get(IMAGE) or ("" if load else "busybox:1.36")
    return Named(kubeconfig, server, address, load, image)


def _server(kubeconfig: Path) -> str:
    """Of the current context."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = _of(config["contexts"], config["current-context"])["context"]
    return str(_of(config["clusters"], context["cluster"])["cluster"]["server"])


def _of(entries: list[dict[str, dict[str, str]]], name: object) -> dict[str, dict[str, str]]:
    found = [entry for entry in entries if entry["name"] == name]
    if not found:
        raise LookupError(f"there is no '{name}' in it")
    return found[0]


def _address_towards(host: str) -> str:
    """Of the interface by which this machine reaches a host, else that of its default route; nothing is sent there.

    A cluster in containers of this machine has its API server at a loopback address, where no pod reaches anything.
    """
    for each in (host, NOWHERE):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((each, 9))
            except OSError:
                continue
            found = str(probe.getsockname()[0])
        if not ipaddress.ip_address(found).is_loopback:
            return found
    return ""
