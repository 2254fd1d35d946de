"""A platform elsewhere: its address and key come from the configuration."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perijove_platform.discovery import Connection

from perijove.platform_link import CannotRestart, NotReady, PlatformStatus, State

if TYPE_CHECKING:
    import httpx

STATUS_SECONDS = 5.0
API_KEY_VARIABLE = "PERIJOVE_API_KEY"
NO_KEY = "No key for the platform is configured."
SET_KEY = f"Set {API_KEY_VARIABLE} or PerijoveApp.api_key_file to a key of that platform and start Jupyter again."


class RemotePlatform:
    """Implements `PlatformLink` for a platform that others run.

    Args:
        base_url: without trailing slash and without ``/v1``.
        api_key_file: holds the key; without it, the key is in `API_KEY_VARIABLE`.
        http: the client of the pass-through.
    """

    def __init__(
        self, base_url: str, api_key_file: Path | None, http: "Callable[[], Awaitable[httpx.AsyncClient]]"
    ) -> None:
        self._base_url = base_url
        self._api_key_file = api_key_file
        self._http = http
        self._api_key = read_api_key(api_key_file)

    def connection(self) -> Connection:
        if not self._api_key:
            raise NotReady(f"{NO_KEY} {SET_KEY}", code="platform_failed")
        return Connection(self._base_url, self._api_key)

    async def key_refused(self) -> None:
        """Read the key file again: a mounted secret changes when it is rotated."""
        if self._api_key_file is not None:
            self._api_key = await asyncio.to_thread(read_api_key, self._api_key_file)

    async def status(self) -> PlatformStatus:
        import httpx

        if not self._api_key:
            return self._report("failed", NO_KEY, SET_KEY)
        client = await self._http()
        try:
            answer = await client.get(
                f"{self._base_url}/v1/status",
                headers={"Authorization": f"Bearer {self._api_key}"},
                timeout=STATUS_SECONDS,
            )
        except httpx.HTTPError as error:
            reason = f"The platform at {self._base_url} does not answer ({type(error).__name__})."
            return self._report("unreachable", reason, "Check the address and the network, or ask who runs it.")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            await self.key_refused()
            return self._report("failed", "The platform refused the key.", SET_KEY)
        if answer.is_server_error or answer.status_code == httpx.codes.NOT_FOUND:
            reason = f"What answers at {self._base_url} says {answer.status_code} {answer.reason_phrase}."
            return self._report("unreachable", reason, "Check PerijoveApp.platform_url, or ask who runs the platform.")
        return self._report("ready", version=_version(answer))

    async def restart(self) -> None:
        raise CannotRestart(f"The platform at {self._base_url} is not run by this Jupyter server. Ask who runs it.")

    async def start(self) -> None:
        """Nothing to do: it runs elsewhere."""

    async def stop(self) -> None:
        """Nothing to do: it runs elsewhere."""

    def _report(
        self, state: State, reason: str | None = None, remedy: str | None = None, *, version: str | None = None
    ) -> PlatformStatus:
        return PlatformStatus(state, False, reason, remedy, version, self._base_url)


def read_api_key(api_key_file: Path | None) -> str:
    """The key of the configuration; empty when there is none or its file cannot be read."""
    if api_key_file is None:
        return os.environ.get(API_KEY_VARIABLE, "").strip()
    try:
        return api_key_file.read_text().strip()
    except OSError:
        return ""


def _version(answer: "httpx.Response") -> str | None:
    """The version in the answer; a key without the right to read it gets none."""
    try:
        version = answer.json().get("version")
    except (ValueError, AttributeError):
        return None
    return version if isinstance(version, str) else None
