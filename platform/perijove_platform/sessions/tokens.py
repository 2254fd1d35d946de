"""Tokens that the platform signs for itself: HMAC-SHA256 over JSON, with a secret that only its database holds."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

MAX_TOKEN_CHARACTERS = 4096


class InvalidToken(Exception):
    """The token is not ours, was changed, is for something else or has expired; the message says which."""


def sign(secret: bytes, purpose: str, claims: Mapping[str, Any], *, seconds: int) -> tuple[str, int]:
    """A token and when it ends, in seconds since the epoch.

    Args:
        purpose: the token's prefix; one of another purpose is not accepted in its place.
    """
    expires_at = int(time.time()) + seconds
    body = _encode(json.dumps({**claims, "exp": expires_at}, separators=(",", ":")).encode())
    return f"{purpose}-{body}.{_encode(_digest(secret, purpose, body))}", expires_at


def verify(secret: bytes, purpose: str, token: str) -> dict[str, Any]:
    """What was signed.

    Raises:
        InvalidToken: see there.
    """
    prefix, _, rest = token.partition("-")
    body, _, signature = rest.partition(".")
    if prefix != purpose or not signature or len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidToken("This is no token of that kind.")
    if not hmac.compare_digest(_decode(signature), _digest(secret, purpose, body)):
        raise InvalidToken("The token's signature is wrong.")
    claims: dict[str, Any] = json.loads(_decode(body))
    if claims["exp"] <= time.time():
        raise InvalidToken("The token has expired.")
    return claims


def _digest(secret: bytes, purpose: str, body: str) -> bytes:
    return hmac.digest(secret, f"{purpose}.{body}".encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise InvalidToken("The token cannot be read.") from None
