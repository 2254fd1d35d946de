"""A STAND-IN for the agent: its end of the tunnel, without Kubernetes, so that it serves no stream.

Run as ``dialling_agent.py BASE_URL`` with the credential on standard input.
"""

import asyncio
import sys

from perijove_platform.tunnel.handshake import Hello, KubernetesInfo
from perijove_platform.tunnel.keeper import LinkKeeper, Pace
from perijove_platform.tunnel.websocket import ClientChannel, dial


async def main(url: str, credential: str) -> None:
    def hello(link: str | None, received: int) -> Hello:
        kubernetes = KubernetesInfo(version="v1.34.4", namespace="perijove-agent")
        return Hello(link=link, received=received, agent="agent_test", version="0.1.0", kubernetes=kubernetes)

    async def connect() -> ClientChannel:
        return await dial(url, headers={"Authorization": f"Bearer {credential}"})

    await LinkKeeper(connect, hello, pace=Pace(failing=0.5, refused=0.5)).run()


asyncio.run(main(sys.argv[1].replace("http", "ws", 1) + "/v1/agent/link", sys.stdin.read().strip()))
