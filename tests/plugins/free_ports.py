"""Ports for servers of tests."""

import random
import socket
from contextlib import suppress

FREE_PORTS = range(20_000, 30_000)
"""Below those that kernels give to outgoing connections, of which any could take the port before its server does."""
_untried = random.sample(FREE_PORTS, len(FREE_PORTS))


def free_port(address: str = "127.0.0.1") -> int:
    """One that nobody listens at, and no other call's."""
    while _untried:
        port = _untried.pop()
        with socket.socket() as probe, suppress(OSError):
            probe.bind((address, port))
            return port
    raise AssertionError(f"None of the ports {FREE_PORTS} is free.")
