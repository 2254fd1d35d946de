"""Noticing that the machine at the other end of an idle TCP connection is gone."""

import socket

# Linux's name of the idle time is not macOS's.
_IDLE = ("TCP_KEEPIDLE", "TCP_KEEPALIVE")
_INTERVAL = ("TCP_KEEPINTVL",)
_COUNT = ("TCP_KEEPCNT",)


def keep_alive(sock: socket.socket, *, idle_seconds: int, interval_seconds: int, count: int) -> None:
    """Have the kernel break the connection when its peer answers nothing any more.

    Connections that a listening socket accepts take these settings over.

    Args:
        idle_seconds: without traffic before the first probe.
        interval_seconds: between two probes.
        count: of probes without an answer that are enough.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for names, value in ((_IDLE, idle_seconds), (_INTERVAL, interval_seconds), (_COUNT, count)):
        name = next((name for name in names if hasattr(socket, name)), None)
        if name is not None:  # else the system's own time holds
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
