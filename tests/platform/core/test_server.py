"""The listening socket, what connections have of it, and the lock of the data directory."""

import asyncio
import fcntl
import socket
import sys
import threading
from pathlib import Path

import pytest
from perijove_platform import server
from perijove_platform.server import _listening, _only_one


@pytest.mark.skipif(sys.platform != "linux", reason="The options have other names elsewhere.")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_client_whose_machine_is_gone_is_noticed(host: str) -> None:
    accepted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(writer.get_extra_info("socket"))

    with _listening(host, 0) as listener:
        # As uvicorn does with the sockets that it is given.
        async with await asyncio.start_server(connected, sock=listener):
            _, writer = await asyncio.open_connection(host, listener.getsockname()[1])
            found = await asyncio.wait_for(accepted, 60)
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, interval, count = (found.getsockopt(socket.IPPROTO_TCP, option) for option in options)
            assert idle + interval * count <= 120
            writer.close()


def test_who_asks_whether_a_platform_serves_keeps_none_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOCK_SECONDS", 60)
    with (tmp_path / "platform.lock").open("a") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        threading.Timer(0.2, fcntl.flock, (asking, fcntl.LOCK_UN)).start()
        with _only_one(tmp_path):
            pass
