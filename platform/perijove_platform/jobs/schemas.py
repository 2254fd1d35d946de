"""What jobs of every kind have on the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from perijove_platform.pagination import ListParams
from perijove_platform.schemas import Request, Response

Id = Annotated[str, Field(min_length=1, max_length=256)]
Priority = Annotated[int, Field(ge=-2, le=2, description="Higher runs first; on a cluster it stops lower ones.")]
MaxRunSeconds = Annotated[int, Field(ge=1, le=31_536_000, description="Of running; a job that runs longer fails.")]
Level = Literal["info", "warn", "error"]
_METADATA = re.compile(r"metadata\[(.+)\]")


class JobListParams(ListParams):
    """As every list; newest first."""


class EventListParams(ListParams):
    """A page of events may be larger, so that the plot of a long run loads in a few requests."""

    limit: Annotated[int, Query(ge=1, le=1000)] = 20


class LogParams(Request):
    """Which part of a log to send.

    Attributes:
        follow: go on with what is written later, until the run ends.
        tail: only the last so many lines, and no more than 4 MiB of them.
        tail_bytes: only the last so many bytes, for who pages backwards; the first line may be cut.
    """

    follow: bool = False
    tail: Annotated[int, Query(ge=0, le=16 << 20, description="Only the last so many lines.")] | None = None
    tail_bytes: Annotated[int, Query(ge=0, le=16 << 20, description="Only the last so many bytes.")] | None = None


class JobError(Response):
    code: str
    message: str
    param: str | None = None


def metadata_filter(query: Mapping[str, str]) -> dict[str, str]:
    """What ``?metadata[key]=value``, which may be given for several keys, asks for."""
    return {match[1]: value for name, value in query.items() if (match := _METADATA.fullmatch(name)) is not None}
