"""Secrets of agents: the registration token, and the credential that it is exchanged for.

A secret is its prefix, the id of its row and 256 random bits. The row is found by the id; whether the rest is right is
told by comparing digests in constant time. Only the digest is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from perijove_platform.ids import new_id

_ID_LENGTH = 26
_SECRET_LENGTH = 43


@dataclass(frozen=True)
class Kind:
    """What a secret begins with, and what its row's id does."""

    prefix: str
    id_prefix: str


REGISTRATION = Kind("pjreg-", "clreg_")
CREDENTIAL = Kind("pjagent-", "clcred_")


@dataclass(frozen=True)
class Secret:
    """A new secret, to be shown once.

    Attributes:
        id: of the row that keeps `digest`.
        hint: what it can be recognised by.
    """

    id: str
    text: str
    digest: str
    hint: str


def new_secret(kind: Kind) -> Secret:
    secret_id = new_id(kind.id_prefix)
    text = f"{kind.prefix}{secret_id.removeprefix(kind.id_prefix)}{secrets.token_urlsafe(32)}"
    return Secret(secret_id, text, digest_of(text), f"{text[:15]}…{text[-4:]}")


def id_in(kind: Kind, text: str) -> str | None:
    """The id of the row that would keep `text`; ``None`` when it cannot be a secret of this kind."""
    rest = text.removeprefix(kind.prefix)
    if not text.startswith(kind.prefix) or len(rest) != _ID_LENGTH + _SECRET_LENGTH or not text.isascii():
        return None
    return kind.id_prefix + rest[:_ID_LENGTH]


def digest_of(text: str) -> str:
    """SHA-256: of 256 random bits, which nobody can search, so no salt is needed."""
    return hashlib.sha256(text.encode()).hexdigest()


def matches(text: str, digest: str) -> bool:
    """Whether `digest` is that of `text`, in a time that tells nothing of how much of it is right."""
    return hmac.compare_digest(digest_of(text), digest)
