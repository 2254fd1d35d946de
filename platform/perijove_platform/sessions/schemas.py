"""Session tokens and audit records on the wire."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from perijove_platform.pagination import MAX_CURSOR, ListParams
from perijove_platform.schemas import Request, Response


class SessionTokenCreate(Request):
    cluster: str | None = Field(
        default=None, min_length=1, max_length=64, description="The only cluster that the token is good for; else any."
    )


class SessionToken(Response):
    """A short-lived credential of kubectl's proxy."""

    object: Literal["session.token"] = "session.token"
    token: str
    cluster: str | None
    expires_at: int


class AuditRecord(Response):
    """One request that went, or was not let, to a cluster."""

    id: str
    object: Literal["audit_record"] = "audit_record"
    created_at: int
    user_id: str
    user_name: str
    from_project_id: str | None = Field(
        description="The project of who asked for what is this project's and is told that it is not there; else null."
    )
    cluster: str = Field(description="As the request named it: it may be one that the caller cannot see.")
    verb: str = Field(description="Kubernetes' verb, such as get, list, watch or create.")
    path: str = Field(description="Without the query.")
    status: int = Field(description="HTTP status of the answer; 101 for an exec, attach or port-forward that began.")


class AuditListParams(ListParams):
    """What the list of audit records takes beside the cursors."""

    cluster: Annotated[str | None, Query(max_length=MAX_CURSOR)] = None
    user_id: Annotated[str | None, Query(max_length=MAX_CURSOR)] = None
    verb: Annotated[str | None, Query(max_length=32)] = None
    status: Annotated[int | None, Query(ge=100, le=599)] = None
    created_after: Annotated[int | None, Query(ge=0, lt=2**62, description="Seconds since the epoch.")] = None
    created_before: Annotated[int | None, Query(ge=0, lt=2**62, description="Seconds since the epoch.")] = None
