"""Addresses of objects that are valid for some minutes, where the platform itself serves the bytes."""

import base64
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from urllib.parse import quote, urlencode

from perijove_platform.errors import Forbidden, Unavailable

ROUTE = "/v1/objects"
_SECRET_BYTES = 32


class UrlSigner:
    """Signs with a secret of the data directory, so that addresses outlive a restart.

    Args:
        secret_file: made when it is missing, readable by this user only.
        public_url: address of the platform as whoever fetches reaches it, without ``/v1``.
    """

    def __init__(self, secret_file: Path, public_url: str | None) -> None:
        self._secret_file = secret_file
        self._public_url = public_url.rstrip("/") if public_url else None
        self._secret: bytes | None = None

    def sign(self, method: str, key: str, seconds: int) -> str:
        """An address that answers `method` on the object `key` for `seconds`. Blocking.

        Raises:
            Unavailable: nobody has said at which address this platform is reached.
        """
        if self._public_url is None:
            raise Unavailable(
                "This platform does not know its own address. Its operator must set PERIJOVE_PUBLIC_URL to one that "
                "the pods of clusters can reach.",
                code="no_public_url",
            )
        expires = int(time.time()) + seconds
        query = urlencode({"expires": expires, "signature": self._signature(method, key, expires)})
        return f"{self._public_url}{ROUTE}/{quote(key)}?{query}"

    def verify(self, method: str, key: str, expires: int, signature: str) -> None:
        """Blocking.

        Raises:
            Forbidden: the signature is not ours for this method and key (``invalid_signature``), or it was
                (``url_expired``).
        """
        expected = self._signature(method, key, expires).encode()
        if not hmac.compare_digest(expected, signature.encode(errors="replace")):
            message = "This address is not signed for what was asked. Use it as it was given, or ask for a new one."
            raise Forbidden(message, code="invalid_signature")
        if expires < time.time():
            raise Forbidden("This address has expired. Ask for a new one.", code="url_expired")

    def _signature(self, method: str, key: str, expires: int) -> str:
        if self._secret is None:
            self._secret = _read_or_create(self._secret_file)
        signed = hmac.digest(self._secret, f"{method}\n{key}\n{expires}".encode(errors="replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(signed).decode().rstrip("=")


def _read_or_create(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        secret = b""
    if len(secret) == _SECRET_BYTES:
        return secret
    secret = secrets.token_bytes(_SECRET_BYTES)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return secret
