"""OpenAI's cursor paging, done in SQL."""

from typing import Annotated, Any, Generic, Literal, TypeVar

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from perijove_platform.errors import BadRequest

MAX_CURSOR = 256
T = TypeVar("T")
Row = TypeVar("Row")
Item = TypeVar("Item", bound=BaseModel)


class ListParams(BaseModel):
    """What a list route takes: ``?after=&before=&limit=&order=``."""

    after: Annotated[str | None, Query(max_length=MAX_CURSOR, description="The id after which the page starts.")] = None
    before: Annotated[str | None, Query(max_length=MAX_CURSOR, description="The id before which the page ends.")] = None
    limit: Annotated[int, Query(ge=1, le=100)] = 20
    order: Annotated[Literal["asc", "desc"], Query(description="By creation; newest first by default.")] = "desc"


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False


async def paginate(
    session: AsyncSession, query: sa.Select[Row], key: InstrumentedAttribute[str], params: ListParams
) -> tuple[list[Row], bool]:
    """The rows of one page and whether more follow.

    Args:
        query: selects one entity, filtered, not ordered.
        key: the column that orders the list; time-ordered ids make it the order of creation.

    A cursor whose row has been deleted still works, since only its place in the order matters.
    """
    if params.after is not None and params.before is not None:
        raise BadRequest("Give 'after' or 'before', not both.", param="before")
    descending = params.order == "desc"
    backwards = params.before is not None
    cursor = params.before if backwards else params.after
    if cursor is not None:
        query = query.where(key < cursor if descending != backwards else key > cursor)
    query = query.order_by(key.desc() if descending != backwards else key.asc()).limit(params.limit + 1)
    rows: list[Any] = list((await session.scalars(query)).all())
    more = len(rows) > params.limit
    rows = rows[: params.limit]
    if backwards:
        rows.reverse()
    return rows, more


def page(data: list[Item], more: bool) -> Page[Item]:
    """The wire form of a page whose items have an ``id``."""
    ids: list[str] = [item.id for item in data]  # type: ignore[attr-defined]
    return Page(data=data, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None, has_more=more)
