"""Rules of sessions: who may link and use the proxy, and the parts that do the work."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocket

from perijove_platform.database import Database
from perijove_platform.errors import ApiError, NotFound, Unauthorized, respond
from perijove_platform.events import EventBus
from perijove_platform.pagination import Page
from perijove_platform.rbac import Caller
from perijove_platform.sessions.audit import AuditLog, Bounds
from perijove_platform.sessions.channel import ServerChannel
from perijove_platform.sessions.keys import ApiKeys, KnownKeys
from perijove_platform.sessions.links import DialledTwice, HeldLink, LinkRegistry, TooManyLinks
from perijove_platform.sessions.peers import PeerLinks
from perijove_platform.sessions.presence import Connections, Presence
from perijove_platform.sessions.proxy import Session
from perijove_platform.sessions.replicas import Replicas
from perijove_platform.sessions.requests import OpenRequests
from perijove_platform.sessions.schemas import AuditListParams, AuditRecord, SessionToken, SessionTokenCreate
from perijove_platform.sessions.store import ReplicaStore
from perijove_platform.sessions.tokens import InvalidToken, sign, verify
from perijove_platform.sessions.tunnels import AgentTunnels
from perijove_platform.tunnel import ChannelClosed, CloseCode, Link, ProtocolError, Stream, StreamReset
from perijove_platform.tunnel.handshake import MAX_REPLICAS, Welcome, receive_hello

logger = logging.getLogger(__name__)

PURPOSE = "pjsession"
TOKEN_SECONDS = 600
RECHECK_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_TELL_SECONDS = 10.0
_OTHER_CLUSTER = "This credential is another Kubernetes cluster's; register this one by a token of its own."


class Clusters(Connections, Protocol):
    """What sessions asks of clusters, and tells them."""

    async def agent_of(self, credential: str) -> str | None:
        """The id of the cluster whose agent shows this credential; ``None`` for one that is not good."""
        ...

    async def admits(self, credential: str, kubernetes_uid: str | None) -> bool:
        """Whether an agent may serve that shows this credential, which is good, from this Kubernetes cluster."""
        ...

    async def organization_of(self, cluster_id: str) -> str | None:
        """Whose cluster it is; ``None`` when it is not registered."""
        ...

    def ended_agents(self) -> AsyncIterator[str]:
        """Clusters of which a credential has ended, from now on."""
        ...


class SessionsService:
    """The platform's end of the tunnel.

    Args:
        keys: of whom session tokens are made for.
        replica_url: where other replicas reach this one; ``None`` when there is one only.
        ca: file of certificates (PEM) that have signed those of other replicas, besides the system's.

    Attributes:
        tunnels: streams into clusters, for runtimes.
        audit: what was asked of clusters.
    """

    def __init__(
        self,
        database: Database,
        events: EventBus,
        clusters: Clusters,
        keys: ApiKeys,
        *,
        replica_url: str | None = None,
        ca: Path | None = None,
        audit_bounds: Bounds | None = None,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._keys = KnownKeys(keys)
        self._links = LinkRegistry(self._channel_changed)
        self._replicas = Replicas(
            database,
            url=replica_url,
            links=self._links.standing,
            changed=lambda cluster_id: self.tunnels.changed(cluster_id),
            others_changed=self._tell_agents,
        )
        self._peers = PeerLinks(self._replicas.id, self._links, ca=ca)
        self.tunnels = AgentTunnels(self._links, self._replicas, self._peers)
        self._requests = OpenRequests(keys, self.tunnels)
        self._presence = Presence(self.tunnels, self._links, clusters)
        self.audit = AuditLog(database, events, audit_bounds)
        self._secret = b""
        self._ended = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        async with self._database.write() as session:
            store = ReplicaStore(session)
            self._secret = await store.secret("tokens")
            self._peers.start(await store.secret("peers"))
        await self.audit.start()
        await self._replicas.start()
        self._presence.start()
        self._tasks = [asyncio.create_task(work) for work in (self._follow_ended(), self._requests.watch_keys())]

    def close_streams(self) -> None:
        """Fail every stream, so that requests that would go on for ever end before the server waits for them."""
        self.tunnels.close()
        self._links.close()
        self._peers.close()

    async def stop(self) -> None:
        self.close_streams()
        tasks = [*self._telling, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._presence.stop()
        await self._peers.stop()
        await self._replicas.stop()
        await self.audit.stop()

    def _channel_changed(self, cluster_id: str) -> None:
        self._replicas.moved()
        self.tunnels.changed(cluster_id)
        self._presence.changed(cluster_id)

    def _tell_agents(self) -> None:
        """Another replica came or went: an agent that is told dials it now, instead of minutes later."""
        replicas = self._replicas.ids()[:MAX_REPLICAS]
        for link in self._links.connected():
            task = asyncio.create_task(_tell_replicas(link, replicas))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _follow_ended(self) -> None:
        """Look at every link's credential again when one has ended; without news, `_recheck` does so by itself."""
        while True:
            try:
                async for _ in self._clusters.ended_agents():
                    self._ended.set()
                    self._ended = asyncio.Event()
            except Exception:
                logger.exception("Ended credentials cannot be followed; going on in %s s", _RETRY_SECONDS)
            await asyncio.sleep(_RETRY_SECONDS)

    # Tokens.

    async def create_token(self, caller: Caller, request: SessionTokenCreate) -> SessionToken:
        """A credential of the proxy for the caller, good for `TOKEN_SECONDS`."""
        cluster_id = request.cluster
        if cluster_id is not None and not await self._owns(caller, cluster_id):
            raise NotFound(
                f"No cluster with the id '{cluster_id}' in this organization. `GET /v1/clusters` lists them.",
                param="cluster",
            )
        claims = {
            "user": caller.user_id,
            "name": caller.user_name,
            "organization": caller.organization_id,
            "project": caller.project_id,
            "key": caller.key_id,
            "cluster": cluster_id,
        }
        token, expires_at = sign(self._secret, PURPOSE, claims, seconds=TOKEN_SECONDS)
        return SessionToken(token=token, cluster=cluster_id, expires_at=expires_at)

    async def list_audit_records(self, caller: Caller, params: AuditListParams) -> Page[AuditRecord]:
        return await self.audit.list(caller, params)

    # What the proxy asks: `proxy.Gate`.

    async def session_of(self, token: str) -> Session | None:
        """Of a token that is good, and whose API key still is."""
        try:
            claims = verify(self._secret, PURPOSE, token)
        except InvalidToken:
            return None
        if not await self._keys.has(claims["key"]):
            return None
        caller = Caller(
            user_id=claims["user"],
            user_name=claims["name"],
            organization_id=claims["organization"],
            project_id=claims["project"],
            scopes=frozenset({"sessions.use"}),
            key_id=claims["key"],
        )
        return Session(caller, claims["cluster"])

    async def may_use(self, session: Session, cluster_id: str) -> bool:
        return session.cluster in (None, cluster_id) and await self._owns(session.caller, cluster_id)

    async def _owns(self, caller: Caller, cluster_id: str) -> bool:
        return await self._clusters.organization_of(cluster_id) == caller.organization_id

    async def open(self, caller: Caller, cluster_id: str, target: Mapping[str, Any]) -> Stream:
        return await self._requests.open(caller, cluster_id, target)

    def done(self, stream: Stream) -> None:
        self._requests.done(stream)

    async def record(self, caller: Caller, *, cluster: str, verb: str, path: str, status: int) -> None:
        await self.audit.record(caller, cluster=cluster, verb=verb, path=path, status=status)

    # Who dials in.

    async def serve_agent(self, websocket: WebSocket) -> None:
        """Hold an agent's link until its channel is cut."""
        credential = _bearer(websocket)
        try:
            cluster_id = await self._clusters.agent_of(credential) if credential else None
            if cluster_id is None:
                raise Unauthorized(
                    "This agent's credential is unknown, expired or revoked. Make a registration token for its cluster "
                    "and install the agent with it.",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        except ApiError as error:
            await websocket.send_denial_response(respond(error))
            return
        await websocket.accept()
        channel = ServerChannel(websocket)
        try:
            await self._link(channel, cluster_id, credential)
        except DialledTwice as error:
            await channel.close(CloseCode.DUPLICATE, str(error))
        except TooManyLinks as error:
            logger.warning("An agent of cluster %s is refused: %s", cluster_id, error)
            await channel.close(CloseCode.TOO_MANY_LINKS, str(error))
        except ProtocolError as error:
            logger.warning("An agent of cluster %s does not keep to the protocol: %s", cluster_id, error)
            await channel.close(CloseCode.PROTOCOL_ERROR, str(error))
        except (ChannelClosed, TimeoutError):
            await channel.close()

    async def _link(self, channel: ServerChannel, cluster_id: str, credential: str) -> None:
        hello = await receive_hello(channel)
        if not await self._clusters.admits(credential, hello.kubernetes.uid if hello.kubernetes else None):
            logger.warning("An agent in another Kubernetes cluster shows the credential of cluster %s", cluster_id)
            await channel.close(CloseCode.OTHER_CLUSTER, _OTHER_CLUSTER)
            return
        held, resumed = await self._links.claim(cluster_id, hello.agent, hello.link)
        held.version = hello.version
        welcome = Welcome(
            link=held.id,
            received=held.link.received,
            resumed=resumed,
            replica=self._replicas.id,
            replicas=tuple(self._replicas.ids()[:MAX_REPLICAS]),
        )
        await channel.send_text(welcome.to_json())
        rechecking = asyncio.create_task(self._recheck(held, credential))
        try:
            await self._links.serve(held, channel, hello.received if resumed else 0)
        finally:
            rechecking.cancel()
            await asyncio.gather(rechecking, return_exceptions=True)

    async def _recheck(self, held: HeldLink, credential: str) -> None:
        """Close the link once its agent's credential is not good any more."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._ended.wait()
            try:
                known = await self._clusters.agent_of(credential)
            except (ApiError, SQLAlchemyError, OSError):
                continue  # the database is away: nothing is known to have changed
            if known != held.cluster_id:
                logger.warning("The credential of cluster %s has ended; its link is closed", held.cluster_id)
                self._links.give_up(held)
                return

    async def serve_peer(self, websocket: WebSocket) -> None:
        """Open streams for another replica until its channel is cut."""
        if not self._peers.admits(_bearer(websocket)):
            refusal = Unauthorized("Only replicas of this platform link to one another here.")
            await websocket.send_denial_response(respond(refusal))
            return
        await websocket.accept()
        channel = ServerChannel(websocket)
        try:
            await self._peers.serve(channel)
        except (ChannelClosed, ProtocolError, TimeoutError) as error:
            logger.info("The link of another replica has ended: %s", error)
            await channel.close()


async def _tell_replicas(link: Link, replicas: Sequence[str]) -> None:
    """Tell an agent which replicas there are. One that does not understand finds them by itself."""
    with contextlib.suppress(StreamReset, TimeoutError):
        stream = link.begin({"kind": "replicas", "replicas": list(replicas)})
        try:
            async with asyncio.timeout(_TELL_SECONDS):
                await stream.wait_opened()
        finally:
            stream.reset()


def _bearer(websocket: WebSocket) -> str:
    kind, _, token = websocket.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
