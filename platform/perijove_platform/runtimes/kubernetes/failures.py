"""What the Kubernetes API answers when it does not do what it was asked, as exceptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SHOWN = 300
_TOO_LARGE = ("request is too large", "trying to send message larger than max")
"""What etcd, and the API server's own client of it, say of an object; the API server passes it on as a 500."""


class KubernetesError(Exception):
    """The API server refused a request.

    Attributes:
        status: of HTTP.
        reason: Kubernetes' word for it, as ``AlreadyExists``; empty when it gave none.
        message: its own words.
        retry_after: seconds that it asks to wait.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(KubernetesError):
    """There is no such object, or no such kind (404)."""


class AlreadyExists(KubernetesError):
    """An object of that name exists (409)."""


class Conflict(KubernetesError):
    """The object has changed meanwhile, or another manager owns the field (409)."""


class Gone(KubernetesError):
    """That version of the list is no longer kept: list again (410)."""


class Invalid(KubernetesError):
    """The object breaks its schema or an admission rule (400, 422), or is too large (413, or what etcd says of it)."""


class Denied(KubernetesError):
    """Who asks may not do that, or is unknown (401, 403)."""


class Overloaded(KubernetesError):
    """Too many requests; `retry_after` says when to try again (429)."""


class ServerFailed(KubernetesError):
    """The API server, or a webhook that it asks, does not work at the moment (5xx)."""


_BY_STATUS: Mapping[int, type[KubernetesError]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    422: Invalid,
    429: Overloaded,
}


def error_of(status: int, body: bytes, retry_after: str | None = None) -> KubernetesError:
    """The exception for an answer of 400 or more, whose body is a `Status` or, from what lies between, anything."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("kind") != "Status":
        text = body.decode(errors="replace").strip()[:_SHOWN]
        told = {"message": text or f"the API server answered {status}"}
    return status_error({"code": status, **told}, _seconds(retry_after))


def status_error(status: Mapping[str, Any], retry_after: float | None = None) -> KubernetesError:
    """The exception for a `Status` object, as an answer or as the last event of a watch."""
    code = status.get("code")
    code = code if isinstance(code, int) else 500
    reason, message = str(status.get("reason") or ""), str(status.get("message") or f"the API server answered {code}")
    kind = _BY_STATUS.get(code, ServerFailed if code >= 500 else KubernetesError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    elif reason in ("Expired", "Gone"):
        kind = Gone
    elif code == 500 and any(words in message for words in _TOO_LARGE):
        kind = Invalid
    return kind(code, reason, message, retry_after)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


class Unreachable(Exception):
    """The API server was not reached, or the connection broke; nothing is known of what it did."""
