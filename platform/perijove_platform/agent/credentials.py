"""The agent's credential: got once for a registration token, kept in a Secret, used from then on."""

import asyncio
import base64
import binascii
import json
import logging
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from perijove_platform.agent.apiserver import ApiError, ApiServer, Unreachable

KEY = "credential"
FIELD_MANAGER = "perijove-agent"
REGISTRATION_SECONDS = 20.0
_MAX_ANSWER_BYTES = 64 * 1024

_log = logging.getLogger(__name__)


class NoCredential(Exception):
    """There is none now; says what a person can do about it.

    Attributes:
        status: of the platform's refusal, when it refused.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Credentials:
    """Finds the credential wherever it is.

    Args:
        token_file: with the registration token; may be missing.
        tls: for the platform; ``None`` for plain HTTP.
    """

    def __init__(
        self,
        server: ApiServer,
        *,
        platform_url: str,
        namespace: str,
        secret: str,
        token_file: Path | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._server = server
        self._platform_url = platform_url
        self._namespace = namespace
        self._secret = secret
        self._token_file = token_file
        self._tls = tls
        self._present: str | None = None
        self._refused: str | None = None
        self._unsaved = False

    async def present(self) -> str:
        """The credential to use: the one in use, the Secret's, or a new one for the registration token.

        Raises:
            NoCredential: see there.
        """
        if self._present is None:
            kept = await self._read_secret()
            try:
                self._present = kept if kept and kept != self._refused else await self._register(kept)
            except NoCredential as error:
                if kept is None:
                    raise
                _log.warning("%s", error)
                return kept  # refused before; but what refused it may have been mended
        if self._unsaved:
            await self._save(self._present)
        return self._present

    def refuse(self, credential: str) -> None:
        """The platform does not accept it any more: look for another one."""
        self._refused = credential
        if self._present == credential:
            self._present, self._unsaved = None, False

    @property
    def _secret_path(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/secrets/{self._secret}"

    async def _read_secret(self) -> str | None:
        try:
            secret = await self._server.request("GET", self._secret_path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise NoCredential(f"The Secret {self._secret} cannot be read: {error}") from None
        except Unreachable as error:
            raise NoCredential(str(error)) from None
        try:
            encoded = (secret.get("data") or {}).get(KEY) or ""
            kept = base64.b64decode(encoded, validate=True).decode("ascii").strip()
        except (AttributeError, TypeError, binascii.Error, UnicodeDecodeError):
            kept = "\0"
        if not kept.isprintable():
            raise NoCredential(f"The Secret {self._secret} holds no credential under the key '{KEY}'.")
        return kept or None

    async def _register(self, refused: str | None) -> str:
        token = await asyncio.to_thread(self._read_token)
        if token is None:
            why = "The platform refuses the agent's credential, and there" if refused else "There"
            raise NoCredential(
                f"{why} is no registration token. Make one (`POST /v1/clusters/<id>/registration_token`) and give "
                "it to the chart as registration.token.",
                401,
            )
        # What the token buys must not be lost: first see whether it can be kept.
        await self._write_secret(refused or "", dry_run=True)
        credential = await asyncio.to_thread(self._post, token)
        _log.info("Registered with %s", self._platform_url)
        self._unsaved = True
        return credential

    def _read_token(self) -> str | None:
        if self._token_file is None:
            return None
        try:
            return self._token_file.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise NoCredential(f"The registration token cannot be read: {error}.") from None

    def _post(self, token: str) -> str:
        request = urllib.request.Request(  # noqa: S310 (the settings allow http and https only)
            f"{self._platform_url}/v1/agent/registration",
            data=b"",
            headers={"Authorization": f"Bearer {token}", "User-Agent": "perijove-agent"},
            method="POST",
        )
        handlers: list[Any] = [_NoRedirect()]
        if self._tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self._tls))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=REGISTRATION_SECONDS) as response:
                answer = json.loads(response.read(_MAX_ANSWER_BYTES))
                credential = answer["credential"]
        except urllib.error.HTTPError as error:
            raise NoCredential(f"The platform refused the registration: {_said(error)}", error.code) from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise NoCredential(f"The registration failed: {getattr(error, 'reason', error)}.") from None
        if not isinstance(credential, str) or not credential.isascii() or not credential.isprintable():
            raise NoCredential("The registration failed: the platform answered without a credential.")
        return credential

    async def _save(self, credential: str) -> None:
        """Keep it, or say that it is not kept and go on: the next dial tries again."""
        try:
            await self._write_secret(credential)
        except NoCredential as error:
            _log.error("%s The agent goes on, but would not be let in again after a restart.", error)
        else:
            self._unsaved = False

    async def _write_secret(self, credential: str, *, dry_run: bool = False) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self._secret},
            "data": {KEY: base64.b64encode(credential.encode()).decode()},
        }
        query = f"fieldManager={FIELD_MANAGER}&force=true" + ("&dryRun=All" if dry_run else "")
        try:
            await self._server.request(
                "PATCH", f"{self._secret_path}?{query}", body=body, content_type="application/apply-patch+yaml"
            )
        except (ApiError, Unreachable) as error:
            raise NoCredential(f"The Secret {self._secret} cannot be written: {error}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes where it was meant to go, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(_MAX_ANSWER_BYTES))["error"]["message"])[:1000]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"HTTP status {error.code}."
