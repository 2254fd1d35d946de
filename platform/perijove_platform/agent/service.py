"""The agent: its links to the platform and what they lead to."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Mapping
from typing import Any

from perijove_platform import __version__
from perijove_platform.agent.apiserver import ApiError, ApiServer, ServiceAccount, Unreachable
from perijove_platform.agent.credentials import Credentials, NoCredential
from perijove_platform.agent.health import HealthServer
from perijove_platform.agent.kubernetes import KubernetesTarget
from perijove_platform.agent.memory import give_back
from perijove_platform.agent.pods import PodTargets
from perijove_platform.agent.settings import AgentSettings, SettingsError
from perijove_platform.tunnel import Limits, ProtocolError, Stream
from perijove_platform.tunnel.handshake import Hello, KubernetesInfo, TextChannel, told_replicas
from perijove_platform.tunnel.keeper import LinkKeeper, Pace
from perijove_platform.tunnel.websocket import DialFailed, dial

# Streams that nobody reads hold 64 KiB each at most, those of the agent's own memory; so this bounds it.
LIMITS = Limits(streams=4096, replay_bytes=8 * 1024 * 1024, window_bytes=16 * 1024 * 1024)
VERSION_SECONDS = 2.0
VERSION_FRESH_SECONDS = 600.0

_log = logging.getLogger(__name__)


class Agent:
    """Runs until cancelled.

    Raises:
        SettingsError: the CA file cannot be read.
    """

    def __init__(self, settings: AgentSettings, *, limits: Limits = LIMITS, pace: Pace | None = None) -> None:
        self._settings = settings
        self._tls = _tls(settings)
        self._server = ApiServer(settings.api_host, settings.api_port, ServiceAccount(settings.service_account))
        self._credentials = Credentials(
            self._server,
            platform_url=settings.platform_url,
            namespace=settings.namespace,
            secret=settings.credential_secret,
            token_file=settings.registration_token_file,
            tls=self._tls,
        )
        self._targets = {
            "kubernetes": KubernetesTarget(self._server).serve,
            "pod": PodTargets(self._server).serve,
            "replicas": self._learn,
        }
        self._shown = ""
        self._uid: str | None = None
        self._version = ""
        self._version_asked = float("-inf")
        self._keeper = LinkKeeper(
            self._dial,
            self._hello,
            accept=self._accept,
            refused=lambda: self._credentials.refuse(self._shown),
            limits=limits,
            pace=pace,
        )
        self.health = HealthServer(settings.health_port, lambda: self._keeper.connected)

    @property
    def connected(self) -> bool:
        """Whether a link stands."""
        return self._keeper.connected

    @property
    def streams(self) -> int:
        return self._keeper.streams

    async def run(self) -> None:
        """Serve streams; on cancellation the links are ended so that the platform knows."""
        await self.health.start()
        trimming = asyncio.create_task(give_back(lambda: self.streams))
        try:
            await self._keeper.run()
        finally:
            trimming.cancel()
            self.health.stop()
            self._server.close()

    async def _dial(self) -> TextChannel:
        try:
            credential = await self._credentials.present()
        except NoCredential as error:
            raise DialFailed(str(error), error.status) from None
        self._shown = credential
        await self._ask_uid()
        await self._ask_version()
        url = "ws" + self._settings.platform_url.removeprefix("http") + "/v1/agent/link"
        headers = {"Authorization": f"Bearer {credential}"}
        try:
            return await dial(url, headers=headers, tls=self._tls, user_agent=f"perijove-agent/{__version__}")
        except DialFailed as error:
            if error.status == 401:
                self._credentials.refuse(credential)
            raise

    async def _ask_uid(self) -> None:
        """Which cluster this is: one that was copied with the agent's credential must not serve in the other's place.

        Asked until it has been answered once.

        Raises:
            DialFailed: the kube-apiserver does not say.
        """
        if self._uid is not None:
            return
        try:
            answer = await self._server.request("GET", "/api/v1/namespaces/kube-system")
        except (ApiError, Unreachable) as error:
            message = f"The namespace kube-system, by which the platform knows this cluster, cannot be read: {error}"
            raise DialFailed(message) from None
        uid = (answer.get("metadata") or {}).get("uid")
        if not uid:
            raise DialFailed("The namespace kube-system, by which the platform knows this cluster, has no UID.")
        self._uid = str(uid)

    async def _ask_version(self) -> None:
        """Kubernetes' version, for the hello; a kube-apiserver that is down must not keep the agent from dialling."""
        if time.monotonic() - self._version_asked < VERSION_FRESH_SECONDS:
            return
        with contextlib.suppress(ApiError, Unreachable, TimeoutError):
            async with asyncio.timeout(VERSION_SECONDS):
                answer = await self._server.request("GET", "/version")
            self._version = str(answer.get("gitVersion", ""))[:64]
            self._version_asked = time.monotonic()

    def _hello(self, link: str | None, received: int) -> Hello:
        return Hello(
            link=link,
            received=received,
            agent=self._settings.instance,
            version=__version__,
            kubernetes=KubernetesInfo(version=self._version, namespace=self._settings.namespace, uid=self._uid),
        )

    async def _accept(self, stream: Stream, target: Mapping[str, Any]) -> None:
        serve = self._targets.get(str(target.get("kind")))
        if serve is None:
            stream.reset("bad_target", f"This agent ({__version__}) knows the targets {', '.join(self._targets)} only.")
        else:
            serving = serve(stream, target)
            del target  # there may be thousands of streams, for hours
            await serving

    async def _learn(self, stream: Stream, target: Mapping[str, Any]) -> None:
        """The platform has other replicas than it had."""
        try:
            self._keeper.learn(told_replicas(target))
        except ProtocolError as error:
            stream.reset("bad_target", str(error))
            return
        stream.accept({})
        stream.finish()


def _tls(settings: AgentSettings) -> ssl.SSLContext | None:
    if settings.platform_url.startswith("http:"):
        _log.warning("The platform's address is http: whoever can change that traffic commands this cluster.")
        return None
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
    except OSError as error:
        raise SettingsError(f"The certificates in {settings.ca_file} cannot be read: {error}.") from None
