"""A STAND-IN for the agent, made of the tunnel's own parts: it can do less than the real one, and checks nothing.

The real agent has tests of its own; here it would hide what the platform's end does wrong.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from perijove_platform.ids import new_id
from perijove_platform.tunnel import ChannelClosed, Limits, Link, Stream, StreamReset
from perijove_platform.tunnel.handshake import Hello, KubernetesInfo, Welcome, say_hello, told_replicas
from perijove_platform.tunnel.websocket import ClientChannel, DialFailed, dial


class StandInAgent:
    """Dials the platform, again and again, and passes `kubernetes` targets on to an API server.

    Attributes:
        targets: what it was asked to open.
        ended: a reset reason, or ``None`` for a regular end, of each stream.
        welcomes: what the platform said to each dial.
        refusals: statuses and close codes of dials that came to nothing.
        told_replicas: each list of them that the platform has told later.
    """

    def __init__(
        self,
        base_url: str,
        credential: str,
        api_port: int,
        *,
        trusts: Path,
        instance: str | None = None,
        uid: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._url = base_url.replace("http", "ws", 1) + "/v1/agent/link"
        self._headers = {"Authorization": f"Bearer {credential}"}
        self._tls = ssl.create_default_context(cafile=str(trusts))
        self._api_port = api_port
        self._limits = limits
        self._info = KubernetesInfo(version="v1.34.4", namespace="perijove-agent", uid=uid)
        self._http = httpx.AsyncClient(verify=self._tls, timeout=None, base_url=f"https://127.0.0.1:{api_port}")
        self._task: asyncio.Task[None] | None = None
        self._channel: ClientChannel | None = None
        self.instance = instance or new_id("agent_")
        self.connected = asyncio.Event()
        self.targets: list[Mapping[str, Any]] = []
        self.ended: list[str | None] = []
        self.welcomes: list[Welcome] = []
        self.refusals: list[int | None] = []
        self.told_replicas: list[tuple[str, ...]] = []
        self.resume = True

    async def __aenter__(self) -> "StandInAgent":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._http.aclose()

    async def cut(self) -> None:
        """Lose the connection without a farewell."""
        assert self._channel is not None
        self._channel._connection.transport.abort()

    async def _run(self) -> None:
        link, link_id = self._new_link(), None
        while True:
            try:
                channel = self._channel = await dial(
                    self._url, headers=self._headers, tls=self._tls if self._url.startswith("wss") else None
                )
                hello = Hello(
                    link=link_id,
                    received=link.received if link_id else 0,
                    agent=self.instance,
                    version="0.0.0",
                    kubernetes=self._info,
                )
                welcome = await say_hello(channel, hello)
                self.welcomes.append(welcome)
                if not welcome.resumed:
                    link.close()
                    link = self._new_link()
                link_id = welcome.link if self.resume else None
                self.connected.set()
                await link.serve(channel, welcome.received)
            except DialFailed as error:
                self.refusals.append(error.status)
            except TimeoutError:
                await channel.close()
            except ChannelClosed as error:
                if not self.connected.is_set():
                    self.refusals.append(error.code)
            self.connected.clear()
            await asyncio.sleep(0.05)

    def _new_link(self) -> Link:
        return Link(initiator=False, accept=self._accept, limits=self._limits)

    async def _accept(self, stream: Stream, target: Mapping[str, Any]) -> None:
        if target["kind"] == "replicas":
            self.told_replicas.append(told_replicas(target))
            stream.accept({})
            stream.finish()
            return
        if "as" not in target:  # the platform's own watches, of objects that the stand-in lacks
            stream.reset("dial_failed", "The stand-in answers people only.")
            return
        self.targets.append(target)
        try:
            if target.get("path", "").startswith("/refused"):
                stream.reset("dial_failed", "The kube-apiserver does not answer.")
            elif any(name == "upgrade" for name, _ in target["headers"]):
                await self._upgraded(stream, target)
            else:
                await self._exchanged(stream, target)
            self.ended.append(None)
        except StreamReset as error:
            self.ended.append(error.code)
            raise
        except asyncio.CancelledError:
            self.ended.append(stream.failure.code if stream.failure else "cancelled")
            raise

    async def _exchanged(self, stream: Stream, target: Mapping[str, Any]) -> None:
        async def body() -> Any:
            while data := await stream.read():
                yield data

        headers = [*target["headers"], ("x-impersonated", target["as"]["user"])]
        request = self._http.build_request(target["method"], target["path"], headers=headers, content=body())
        answer = await self._http.send(request, stream=True)
        try:
            stream.accept({"status": answer.status_code, "headers": list(answer.headers.items())})
            async for chunk in answer.aiter_raw():
                await stream.write(chunk)
            stream.finish()
        except httpx.HTTPError as error:
            stream.reset("dial_failed", f"The API server broke off: {error}.")
        finally:
            await answer.aclose()

    async def _upgraded(self, stream: Stream, target: Mapping[str, Any]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._api_port, ssl=self._tls)
        try:
            lines = [f"{target['method']} {target['path']} HTTP/1.1", "host: api"]
            lines += [f"{name}: {value}" for name, value in target["headers"]]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *rest = head.strip().split("\r\n")
            headers = [tuple(line.split(": ", 1)) for line in rest]
            stream.accept({"status": int(first.split(" ")[1]), "headers": headers})
            await self._relay(stream, reader, writer)
        finally:
            writer.close()

    async def _relay(self, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def up() -> None:
            while data := await stream.read():
                writer.write(data)
                await writer.drain()

        upload = asyncio.create_task(up())
        try:
            while data := await reader.read(65536):
                await stream.write(data)
            stream.finish()
        finally:
            upload.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await upload
