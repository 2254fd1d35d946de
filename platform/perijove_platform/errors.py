"""Errors as clients see them: OpenAI's envelope, for every failure of every route.

Raise a subclass of `ApiError`; its message says what is wrong and what to do. The envelope is that of
OpenAI's API reference, "Error codes": ``{"error": {"message", "type", "param", "code"}}``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException as StarletteHTTPException

_NUL_IN_TEXT = frozenset({"22021", "22P05"})
"""PostgreSQL's SQLSTATEs for it: in a text (character_not_in_repertoire), in JSON (untranslatable_character).

The rest of class 22, "data exception", is not here: a number out of range or a text too long for its column means
that a schema of ours lacks a bound, and that must be seen.
"""


class ApiError(Exception):
    """A failure with the HTTP status and the envelope that describe it.

    Args:
        message: what is wrong and what to do about it, for a person.
        param: the request field at fault, as ``training_file`` or ``messages[2].content``.
        code: a stable word for programs, as ``model_not_found``.
        headers: further response headers, as ``Retry-After``.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        self.headers = dict(headers or {})

    def envelope(self) -> dict[str, Any]:
        return envelope(self.message, self.type, param=self.param, code=self.code)


class BadRequest(ApiError):
    status = 400
    type = "invalid_request_error"


class Unauthorized(ApiError):
    status = 401
    type = "invalid_request_error"
    default_code = "invalid_api_key"


class Forbidden(ApiError):
    status = 403
    type = "invalid_request_error"
    default_code = "insufficient_permissions"


@dataclass(frozen=True)
class Elsewhere:
    """Where that is which another project has.

    Attributes:
        organization_id, project_id: whose it is.
        cluster: its name.
    """

    organization_id: str
    project_id: str
    cluster: str


class NotFound(ApiError):
    """What is not there, and what is another project's: the answer is the same.

    Attributes:
        elsewhere: of what is another project's, in whose audit log it is written who asked.
    """

    elsewhere: Elsewhere | None = None
    status = 404
    type = "invalid_request_error"
    default_code = "not_found"


class Conflict(ApiError):
    status = 409
    type = "invalid_request_error"
    default_code = "conflict"


class TooLarge(ApiError):
    status = 413
    type = "invalid_request_error"
    default_code = "too_large"


class Unprocessable(ApiError):
    status = 422
    type = "invalid_request_error"


class RateLimited(ApiError):
    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"


class Unavailable(ApiError):
    status = 503
    type = "server_error"
    default_code = "unavailable"


class BadGateway(ApiError):
    status = 502
    type = "server_error"
    default_code = "engine_failed"


class OutOfStorage(ApiError):
    status = 507
    type = "server_error"
    default_code = "out_of_storage"


def envelope(message: str, type: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def field_path(location: Sequence[int | str]) -> str:
    """`("body", "messages", 2, "content")` as ``messages[2].content``.

    The names of a union's members, which pydantic puts into a location, are left out: a client never wrote them.
    """
    path = ""
    for part in location[1:] if location and location[0] in ("body", "query", "path", "header") else location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and part[:1].islower():
            path += f".{part}" if path else part
    return path


def from_validation(error: RequestValidationError) -> BadRequest:
    """The first of the validation errors as a 400; the others are counted."""
    errors = error.errors()
    first = errors[0]
    where = field_path(first["loc"])
    match first["type"]:
        case "extra_forbidden":
            message = f"Unknown field '{where}'. Remove it, or check its spelling."
            code = "unknown_parameter"
        case "missing":
            message = f"Missing required field '{where}'." if where else "The request needs a JSON body."
            code = "missing_required_parameter"
        case "json_invalid":
            message = f"The body is not valid JSON: {first.get('ctx', {}).get('error', first['msg'])}."
            code = "invalid_json"
            where = ""
        case _:
            said = first["msg"].removeprefix("Value error, ")
            message = f"Invalid '{where}': {said}." if where else f"{said}."
            code = "invalid_value"
    if len(errors) > 1:
        message += f" ({len(errors) - 1} more problems in this request.)"
    return BadRequest(message, param=where or None, code=code)


def respond(error: ApiError) -> JSONResponse:
    return JSONResponse(error.envelope(), status_code=error.status, headers=error.headers)


async def _on_api_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return respond(error)


async def _on_validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return respond(from_validation(error))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    if error.status_code == 404:
        message = f"Unknown route: {request.method} {request.url.path}. The API's routes are listed at /openapi.json."
        body = envelope(message, "invalid_request_error", code="unknown_url")
    elif error.status_code == 405:
        message = f"{request.method} is not allowed on {request.url.path}."
        body = envelope(message, "invalid_request_error", code="method_not_allowed")
    else:
        kind = "invalid_request_error" if error.status_code < 500 else "server_error"
        body = envelope(str(error.detail or HTTPStatus(error.status_code).phrase), kind)
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


async def _on_database_error(_: Request, error: Exception) -> JSONResponse:
    """What only PostgreSQL finds wrong with a client's text; every other failure of the database is ours."""
    assert isinstance(error, DBAPIError)
    if getattr(error.orig, "sqlstate", None) not in _NUL_IN_TEXT:
        raise error
    message = "A text of this request holds a NUL character (\\u0000), which cannot be stored. Remove it."
    return respond(BadRequest(message, code="invalid_value"))


def install(app: FastAPI) -> None:
    """Make every failure of `app` that has a cause in the request answer with the envelope.

    What nobody foresaw is caught further out, by `request_id.RequestIdMiddleware`.
    """
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(StarletteHTTPException, _on_http_exception)
    app.add_exception_handler(DBAPIError, _on_database_error)
