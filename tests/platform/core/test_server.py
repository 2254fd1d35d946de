"""The listening socket, and what connections have of it."""

import asyncio
import socket
import sys

import pytest
from perijove_platform.server import _listening


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
            found = await asyncio.wait_for(accepted, 10)
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, interval, count = (found.getsockopt(socket.IPPROTO_TCP, option) for option in options)
            assert idle + interval * count <= 120
            writer.close()
