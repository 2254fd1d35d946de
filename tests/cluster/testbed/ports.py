"""Ports of the address that pods reach."""

import random
import socket

from testbed import named
from testbed.layout import ADDRESS, NAMED, POSTGRES_PORT, S3_PORT, STATE
from testbed.steps import Failed

SERVICES = {"s3": S3_PORT, "postgres": POSTGRES_PORT}
FREE_PORTS = range(20000, 30000)
"""Below those that the kernel gives to outgoing connections."""


def check_address() -> None:
    """`Failed` when it is none of this machine."""
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS or "none", 0))
        except OSError:
            known = f"'{ADDRESS}' is no address of this machine"
            raise Failed(f"{known}: name one that pods reach in {named.ADDRESS}.") from None


def free_port() -> int:
    """One that nobody listens at."""
    for _ in range(100):
        port = random.choice(FREE_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port
    raise AssertionError(f"None of a hundred ports of {FREE_PORTS} is free.")


def port_of(service: str) -> int:
    """Of `SERVICES`. Beside a cluster that is named it is one that was free when it was first asked for."""
    if NAMED is None:
        return SERVICES[service]
    file = STATE / f"{service}.port"
    if not file.exists():
        file.write_text(str(free_port()))
    return int(file.read_text())
