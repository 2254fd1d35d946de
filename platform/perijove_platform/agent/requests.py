"""What a `kubernetes` target asks for, checked, as the request that the kube-apiserver is sent.

Everything here is a pure function: what may pass, what is dropped and what is added is decided in this file alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

IDENTITY_PREFIX = "perijove:"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_HEADERS = 256
MAX_PATH = 64 * 1024
MAX_EXTRA = 32
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_PATH = re.compile(r"/[\x21\x22\x24-\x7e]*\Z")
# Of the connection between two neighbours, so that they end here; the agent writes its own.
HOP_BY_HOP = frozenset(
    {
        "connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "expect",
    }
)  # fmt: skip
Headers = list[tuple[bytes, bytes]]


class BadTarget(ValueError):
    """What is asked for cannot be or must not be passed on; says why."""


@dataclass(frozen=True)
class KubernetesRequest:
    """One request to the kube-apiserver, without the agent's credential.

    Attributes:
        headers: with impersonation where a person asks; without ``host``.
        upgrade: what protocol the connection shall become; ``None`` for an ordinary exchange.
        content_length: as told; ``None`` when it is not known beforehand.
        chunked: whether a body was told without its length.
    """

    method: str
    path: str
    headers: Headers
    upgrade: bytes | None
    content_length: int | None
    chunked: bool


def parse(target: Mapping[str, Any]) -> KubernetesRequest:
    """Raises `BadTarget`."""
    method = target.get("method")
    if not isinstance(method, str) or method not in METHODS:
        raise BadTarget(f"The method must be one of {', '.join(sorted(METHODS))}.")
    path = _path(target.get("path"))
    given = _headers(target.get("headers", []))
    # Whatever `connection` names belongs to the connection, too.
    listed = {part.strip().lower() for name, value in given if name == "connection" for part in value.split(",")}
    passed = [(name, value) for name, value in given if not _dropped(name) and name not in listed]
    upgrades = [value for name, value in given if name == "upgrade"]
    upgrade = upgrades[0].encode("latin-1") if upgrades and "h2c" not in upgrades[0].lower() else None
    length = _content_length([value for name, value in given if name == "content-length"])
    headers = [(name.encode(), value.encode("latin-1")) for name, value in passed if name != "content-length"]
    headers += impersonation(target.get("as"))
    chunked = any(name == "transfer-encoding" for name, _ in given)
    return KubernetesRequest(method, path, headers, upgrade, length, chunked)


def _dropped(name: str) -> bool:
    return name in HOP_BY_HOP or name == "authorization" or name.startswith("impersonate-")


def _path(path: Any) -> str:
    if not isinstance(path, str) or len(path) > MAX_PATH or not _PATH.match(path):
        raise BadTarget("The path must begin with / and hold printable ASCII only, without a fragment.")
    plain = path.partition("?")[0]
    if plain.startswith("//"):
        raise BadTarget("The path must not begin with //: that names a host.")
    for form in (plain, unquote(plain), unquote(unquote(plain))):
        if any(segment in (".", "..") for segment in form.replace("\\", "/").split("/")):
            raise BadTarget("The path must not have the segments . or .. in it.")
    return path


def _headers(headers: Any) -> list[tuple[str, str]]:
    """With names in lower case."""
    if not isinstance(headers, Sequence) or isinstance(headers, str) or len(headers) > MAX_HEADERS:
        raise BadTarget(f"The headers must be a list of at most {MAX_HEADERS}.")
    checked = []
    for header in headers:
        if not isinstance(header, Sequence) or len(header) != 2 or not all(isinstance(part, str) for part in header):
            raise BadTarget("A header must be a name and a value.")
        name, value = header
        if not _TOKEN.match(name):
            raise BadTarget(f"{name[:64]!r} is not the name of a header.")
        if not _VALUE.match(value):
            raise BadTarget(f"The value of the header {name[:64]} has characters that no header may have.")
        checked.append((name.lower(), value.strip(" \t")))
    return checked


def _content_length(values: Sequence[str]) -> int | None:
    if not values:
        return None
    if len(set(values)) != 1 or not re.fullmatch(r"[0-9]{1,15}", values[0]):
        raise BadTarget("content-length is not one number.")
    return int(values[0])


def impersonation(identity: Any) -> Headers:
    """The headers that name the person; none when the platform itself asks.

    Raises:
        BadTarget: somebody is named who is not one of the platform's.
    """
    if identity is None:
        return []
    if not isinstance(identity, Mapping) or set(identity) - {"user", "groups", "extra"}:
        raise BadTarget("`as` must have user, groups and extra only.")
    groups, extra = identity.get("groups", []), identity.get("extra", {})
    if not isinstance(groups, Sequence) or isinstance(groups, str) or len(groups) > MAX_HEADERS:
        raise BadTarget("The groups of `as` must be a list.")
    headers = [(b"impersonate-user", _identity(identity.get("user")))]
    headers += [(b"impersonate-group", _identity(group)) for group in groups]
    return headers + _extra(extra)


def _extra(extra: Any) -> Headers:
    if not isinstance(extra, Mapping) or len(extra) > MAX_EXTRA:
        raise BadTarget(f"The extra of `as` must be an object of at most {MAX_EXTRA} members.")
    headers: Headers = []
    for key, values in extra.items():
        if not isinstance(key, str) or not key.isascii() or not key.isprintable() or not key or key != key.lower():
            raise BadTarget("A key of `as.extra` must be lower-case ASCII.")
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > MAX_EXTRA:
            raise BadTarget("The values of `as.extra` must be lists.")
        name = b"impersonate-extra-" + quote(key, safe="").encode()
        headers += [(name, _text(value)) for value in values]
    return headers


def _identity(name: Any) -> bytes:
    if not isinstance(name, str) or not name.startswith(IDENTITY_PREFIX) or len(name) == len(IDENTITY_PREFIX):
        raise BadTarget(f"Users and groups must begin with {IDENTITY_PREFIX}: others are not the platform's to name.")
    return _text(name)


def _text(value: Any) -> bytes:
    """Header values travel as UTF-8, as Kubernetes' own clients send them."""
    if not isinstance(value, str) or len(value) > 1024 or not value.isprintable() or value != value.strip():
        raise BadTarget("Names and extra values of `as` must be printable texts of at most 1,024 characters.")
    return value.encode()
