"""The responses that a client may continue or read again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned


class ResponseRow(Owned, Base):
    """One response.

    Attributes:
        input: its own input items, without those of the responses before it.
        body: the response as the API returned it.
    """

    __tablename__ = "responses"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    previous_response_id: Mapped[str | None] = mapped_column(sa.String(64))
    input: Mapped[list[Any]]
    body: Mapped[dict[str, Any]]


class ResponseStore:
    """A project's responses."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    def add(self, row: ResponseRow) -> None:
        self._session.add(row)

    async def get(self, response_id: str) -> ResponseRow | None:
        query = sa.select(ResponseRow).where(ResponseRow.project_id == self._project_id, ResponseRow.id == response_id)
        return (await self._session.scalars(query)).one_or_none()

    async def delete(self, response_id: str) -> bool:
        """Whether it was there."""
        row = await self.get(response_id)
        if row is not None:
            await self._session.delete(row)
        return row is not None
