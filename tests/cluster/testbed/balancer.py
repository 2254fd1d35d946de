"""One address in front of several replicas of a platform, as a cloud's load balancer is: whole TCP connections, each
to the next replica that answers.

``python -m testbed.balancer ADDRESS PORT PORT_OF_A_REPLICA…``
"""

import asyncio
import itertools
import sys
from collections.abc import Sequence

PIECE = 1 << 16
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def serve(address: str, port: int, targets: Sequence[int]) -> None:
    turns = itertools.cycle(range(len(targets)))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(turns)
        found = await _connect(address, (*targets[first:], *targets[:first]))
        if found is None:
            writer.transport.abort()
        else:
            await _join((reader, writer), found)

    server = await asyncio.start_server(connected, address, port)
    await server.serve_forever()


async def _connect(address: str, targets: Sequence[int]) -> Streams | None:
    for target in targets:
        try:
            return await asyncio.open_connection(address, target)
        except OSError:
            continue
    return None


async def _join(client: Streams, replica: Streams) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(client[0], replica[1]))
            group.create_task(_pump(replica[0], client[1]))
    except* OSError:
        # What breaks one direction is the end of both.
        for _, writer in (client, replica):
            writer.transport.abort()
    for _, writer in (client, replica):
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
