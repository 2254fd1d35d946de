"""Users and API keys on the wire."""

from typing import Literal

from pydantic import Field

from perijove_platform.rbac import Scope
from perijove_platform.schemas import Request, Response


class Me(Response):
    """Who the caller is."""

    object: Literal["user"] = "user"
    id: str
    name: str
    organization_id: str
    project_id: str
    scopes: list[Scope]


class ApiKeyCreate(Request):
    name: str = Field(min_length=1, max_length=256)
    scopes: list[Scope] | None = Field(default=None, description="All that the caller has, when left out.")
    expires_in_seconds: int | None = Field(default=None, ge=60, le=10 * 365 * 86400)


class ApiKey(Response):
    """A key without its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    hint: str = Field(description="The secret's first and last characters, to recognise it by.")
    scopes: list[str]
    created_at: int
    created_by: str
    expires_at: int | None


class ApiKeyCreated(ApiKey):
    """A new key; `secret` is shown this once."""

    secret: str
