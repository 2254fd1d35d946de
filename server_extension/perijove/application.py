"""The Jupyter server extension."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_server.extension.application import ExtensionApp
from perijove_platform.discovery import default_data_dir
from traitlets import Bool, TraitError, Unicode, default, validate

from perijove.embedded import EmbeddedPlatform
from perijove.handlers import RestartHandler, StatusHandler
from perijove.pass_through import PATTERN, PassThroughHandler
from perijove.platform_link import PlatformLink
from perijove.remote import API_KEY_VARIABLE, RemotePlatform, read_api_key

if TYPE_CHECKING:
    import httpx

DATA_DIR_VARIABLE = "PERIJOVE_DATA_DIR"
BASE_URL_VARIABLE = "PERIJOVE_BASE_URL"

MAX_CONNECTIONS = 256
CONNECT_SECONDS = 5.0
WRITE_SECONDS = 60.0
POOL_SECONDS = 10.0


class PerijoveApp(ExtensionApp):
    """Perijove's panels in JupyterLab: passes their requests on to the platform, which it runs unless one is given."""

    name = "perijove"
    extension_url = "/lab"
    load_other_extensions = True

    platform_url = Unicode(
        help="Address of a platform elsewhere, without /v1; when empty, one is run here. Default: $PERIJOVE_BASE_URL."
    ).tag(config=True)
    api_key_file = Unicode(
        help="File with the key for platform_url; it is read again when the key is refused. Default: $PERIJOVE_API_KEY."
    ).tag(config=True)
    data_dir = Unicode(help="Where the platform of this machine keeps everything. Default: $PERIJOVE_DATA_DIR.").tag(
        config=True
    )
    stop_with_last_lab = Bool(
        True, help="Stop the platform of this machine when the last Jupyter server that uses it stops."
    ).tag(config=True)

    @default("platform_url")
    def _platform_url(self) -> str:
        return os.environ.get(BASE_URL_VARIABLE, "").rstrip("/")

    @default("data_dir")
    def _data_dir(self) -> str:
        return str(default_data_dir())

    @validate("platform_url")
    def _valid_url(self, proposal: dict[str, Any]) -> str:
        url = str(proposal["value"]).rstrip("/").removesuffix("/v1")
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None):
            raise TraitError("platform_url must be like https://host/path, without a user, a password or a key in it.")
        return url

    def initialize_settings(self) -> None:
        self._client: httpx.AsyncClient | None = None
        self._client_lock = asyncio.Lock()
        self.link: PlatformLink = self._remote() if self.platform_url else self._embedded()

    def _remote(self) -> RemotePlatform:
        """The platform at `platform_url`, which kernels find through the environment they inherit."""
        file = Path(self.api_key_file).expanduser() if self.api_key_file else None
        os.environ[BASE_URL_VARIABLE] = self.platform_url
        if file is not None and (key := read_api_key(file)):
            os.environ[API_KEY_VARIABLE] = key
        return RemotePlatform(self.platform_url, file, self.http)

    def _embedded(self) -> EmbeddedPlatform:
        data_dir = Path(self.data_dir).expanduser().absolute()
        os.environ[DATA_DIR_VARIABLE] = str(data_dir)
        # Kernels prefer these; they would lead them past the platform that the panels show.
        os.environ.pop(BASE_URL_VARIABLE, None)
        os.environ.pop(API_KEY_VARIABLE, None)
        return EmbeddedPlatform(data_dir, stop_with_last=self.stop_with_last_lab, log=self.log)

    def initialize_handlers(self) -> None:
        self.handlers.extend(
            [
                (r"perijove/status", StatusHandler),
                (r"perijove/restart", RestartHandler),
                (PATTERN, PassThroughHandler),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        await self.link.start()

    async def stop_extension(self) -> None:
        await self.link.stop()
        if self._client is not None:
            await self._client.aclose()

    async def http(self) -> "httpx.AsyncClient":
        """The client for requests to the platform; made when first needed, as its library takes long to load."""
        async with self._client_lock:
            if self._client is None:
                self._client = await asyncio.to_thread(_make_client, bool(self.platform_url))
        return self._client


def _make_client(remote: bool) -> "httpx.AsyncClient":
    import httpx

    client = httpx.AsyncClient(
        # Without a limit on reading: a model that loads and a stream of events are silent for long.
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=POOL_SECONDS),
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=16),
        # Proxies and certificates of the environment are for addresses elsewhere, not for loopback.
        trust_env=remote,
        verify=remote,
    )
    # Only what the browser sent: an Accept-Encoding of ours would bring it answers that it cannot read.
    client.headers.clear()
    return client
