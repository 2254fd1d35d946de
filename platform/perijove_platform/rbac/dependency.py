"""The dependency by which a route names its scope."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request, Security
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes

from perijove_platform.errors import Forbidden, Unauthorized
from perijove_platform.rbac.caller import Authenticator, Caller
from perijove_platform.rbac.scopes import Scope

_authenticators: set[Callable[..., Any]] = set()
F = TypeVar("F", bound=Callable[..., Any])


def authenticates(dependency: F) -> F:
    """Decorates a dependency that finds out who asks, so that what a route declares by it counts as its scope.

    It is used as ``Security(dependency, scopes=[scope])``. A person's requests have `requires`; another dependency is
    for a credential that is no API key: a running job's token, a signed URL, an agent's credential.
    """
    _authenticators.add(dependency)
    return dependency


@authenticates
async def _caller(request: Request, needed: SecurityScopes) -> Caller:
    header = request.headers.get("authorization", "")
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthorized(
            "No API key was given. Send it as 'Authorization: Bearer <key>'; "
            "`perijove status --json` prints the key of a platform on this machine.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    authenticator: Authenticator = request.app.state.authenticator
    caller = await authenticator.authenticate(token.strip())
    if caller is None:
        raise Unauthorized(
            "This API key is unknown, expired or revoked.", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
        )
    missing = sorted(set(needed.scopes) - caller.scopes)
    if missing:
        raise Forbidden(f"This API key lacks the scope '{missing[0]}'. Use a key that has it.", param=missing[0])
    request.state.caller = caller
    return caller


def requires(scope: Scope) -> Any:
    """Metadata of a route's `Caller` parameter: ``caller: Annotated[Caller, requires("files.read")]``.

    Raises:
        Unauthorized: no key, or one that is not valid.
        Forbidden: the key lacks `scope`.
    """
    return Security(_caller, scopes=[scope])


def scope_of(route: APIRoute) -> frozenset[str]:
    """The scopes that a route names, empty for one that forgot; a test walks every route with it."""
    found: set[str] = set()
    pending = list(route.dependant.dependencies)
    while pending:
        dependant = pending.pop()
        if dependant.call in _authenticators:
            found.update(dependant.own_oauth_scopes or ())
        pending.extend(dependant.dependencies)
    return frozenset(found)
