"""What the proxy has to know of Kubernetes' API: its errors, its verbs, and which headers are passed on."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

Headers = list[tuple[str, str]]

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_FOR_CLUSTERS = frozenset({"authorization", "expect", "host"})
_BEARER_PROTOCOL = "base64url.bearer.authorization.k8s.io."
_OF_NAMESPACES_THEMSELVES = frozenset({"status", "finalize"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_PROJECT_NAMESPACE = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)/(?:watch/)?namespaces/(perijove-[^/]+)")
_UNSPECIFIC_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "HEAD": "get"}


def status_object(code: int, message: str) -> bytes:
    """An error as the API server says it, which kubectl shows as it shows every other."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, "Unknown"),
        "code": code,
    }
    return json.dumps(status).encode()


def warning(message: str) -> bytes:
    """A header's value that kubectl shows, which while it finds out what there is throws a `Status`'s message away."""
    quoted = _UNPRINTABLE.sub("?", message).replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'.encode()


def verb_of(method: str, path: str, query: bytes) -> str:
    """The verb by which RBAC and the audit log name a request; the method in lower case where there is no resource.

    After "Determine the Request Verb" of Kubernetes' documentation of authorization.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        rest = parts[2:]
    elif parts[0] == "apis":
        rest = parts[3:]
    else:
        return method.lower()
    if rest[:1] == ["watch"]:
        return "watch"
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in _OF_NAMESPACES_THEMSELVES:
        rest = rest[2:]
    if not rest or rest == [""]:
        return method.lower()
    named = len(rest) > 1
    if method in ("GET", "HEAD") and not named:
        watch = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("watch", ["false"])[-1]
        return "list" if watch.lower() in ("false", "0") else "watch"
    if method == "DELETE":
        return "delete" if named else "deletecollection"
    return _UNSPECIFIC_VERBS.get(method, method.lower())


def project_namespace(path: str) -> str | None:
    """The namespace of a project in which the object of a request lies, if it does in one."""
    found = _PROJECT_NAMESPACE.match(path)
    return None if found is None else found[1]


def request_headers(headers: Iterable[tuple[bytes, bytes]], *, upgrade: bool) -> Headers:
    """Those of a client's request that a cluster may see.

    The platform's own credential and everything by which a client could say who it is are left out: the agent writes
    that itself.
    """
    kept: Headers = []
    for raw_name, raw_value in _end_to_end(headers):
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in _NOT_FOR_CLUSTERS or name.startswith(("impersonate-", "x-remote-")):
            continue
        if name == "sec-websocket-protocol":
            value = ", ".join(
                protocol
                for protocol in (part.strip() for part in value.split(","))
                if not protocol.startswith(_BEARER_PROTOCOL)
            )
        kept.append((name, value))
    if upgrade:
        asked = next(value for name, value in headers if name.lower() == b"upgrade")
        kept += [("connection", "Upgrade"), ("upgrade", asked.decode("latin-1"))]
    return kept


def response_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Those of a cluster's answer that are for the client; `date` is written by this server."""
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return [(name, value) for name, value in _end_to_end(pairs) if name.lower() != b"date"]


def answer_head(info: Mapping[str, Any], *, upgrade: bool) -> tuple[int, Headers]:
    """Status and headers of an answer, as an agent tells them.

    Args:
        upgrade: whether 101 may be the answer.

    Raises:
        ValueError: they are not what HTTP allows; says what.
    """
    status, headers = info.get("status"), info.get("headers", [])
    if not isinstance(status, int) or (not 200 <= status <= 599 and not (upgrade and status == 101)):
        raise ValueError("it has no HTTP status")
    if not isinstance(headers, list):
        raise ValueError("its headers are no list")
    checked: Headers = []
    for header in headers:
        match header:
            case [str(name), str(value)] if _NAME.fullmatch(name) and _VALUE.fullmatch(value):
                checked.append((name, value))
            case _:
                raise ValueError("a header is none")
    return status, checked


def switching_head(headers: Headers) -> bytes:
    """The head that answers an upgrade, with every header of the cluster's: they say what was agreed."""
    lines = [f"{name}: {value}".encode("latin-1") for name, value in headers]
    return b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *lines, b"", b""])


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """All but those that concern one connection: RFC 9110, 7.6.1."""
    pairs = list(headers)
    named = {
        token.strip().lower()
        for name, value in pairs
        if name.lower() == b"connection"
        for token in value.decode("latin-1").split(",")
    }
    dropped = _HOP_BY_HOP | named
    return [(name, value) for name, value in pairs if name.decode("latin-1").lower() not in dropped]
