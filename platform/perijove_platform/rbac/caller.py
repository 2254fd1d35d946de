"""Who is asking."""

from dataclasses import dataclass
from typing import Protocol

from perijove_platform.rbac.scopes import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or application behind a request, and what its credential allows.

    Attributes:
        key_id: the API key that was used; usage is accounted to it.
    """

    user_id: str
    user_name: str
    organization_id: str
    project_id: str
    scopes: frozenset[Scope]
    key_id: str


class Authenticator(Protocol):
    """Finds the caller of a credential."""

    async def authenticate(self, token: str) -> Caller | None:
        """The caller, or ``None`` for a token that is unknown, revoked or expired."""
        ...
