"""The tables of vector stores."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned
from perijove_platform.ids import new_id

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# Strings are ordered by code point on both databases, whatever the server's locale.
_ByCodePoint = sa.String(512).with_variant(postgresql.VARCHAR(512, collation="C"), "postgresql")


class VectorStoreRow(Owned, Base):
    __tablename__ = "vector_stores"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(256))
    description: Mapped[str | None] = mapped_column(sa.String(2048))
    pairs: Mapped[dict[str, str]] = mapped_column("metadata", sa.JSON)
    embedding_model: Mapped[str] = mapped_column(sa.String(256))
    expires_after_days: Mapped[int | None]
    expires_at: Mapped[int | None] = mapped_column(sa.BigInteger, index=True)
    last_active_at: Mapped[int] = mapped_column(sa.BigInteger)
    expired: Mapped[bool] = mapped_column(default=False)


class FileBatchRow(Owned, Base):
    __tablename__ = "vector_store_file_batches"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    vector_store_id: Mapped[str] = mapped_column(sa.ForeignKey(VectorStoreRow.id, ondelete="CASCADE"), index=True)
    cancelled: Mapped[bool] = mapped_column(default=False)


class StoreFileRow(Owned, Base):
    """A file in a store.

    `number` names it in the index, `sequence` orders lists, `attempt` tells an indexing from a later one of the file.
    """

    __tablename__ = "vector_store_files"
    __table_args__ = (
        sa.UniqueConstraint("vector_store_id", "file_id"),
        sa.Index(None, "vector_store_id", "sequence"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    sequence: Mapped[str] = mapped_column(sa.String(32), default=new_id)
    vector_store_id: Mapped[str] = mapped_column(sa.ForeignKey(VectorStoreRow.id, ondelete="CASCADE"))
    file_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    filename: Mapped[str] = mapped_column(sa.String(1024))
    batch_id: Mapped[str | None] = mapped_column(
        sa.ForeignKey(FileBatchRow.id, ondelete="SET NULL"), index=True, default=None
    )
    status: Mapped[str] = mapped_column(sa.String(16), index=True)
    error_code: Mapped[str | None] = mapped_column(sa.String(32), default=None)
    error_message: Mapped[str | None] = mapped_column(sa.Text, default=None)
    usage_bytes: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    attributes: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    max_chunk_size_tokens: Mapped[int]
    chunk_overlap_tokens: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=0)


class AttributeRow(Base):
    """One attribute of a file, typed, for filters."""

    __tablename__ = "vector_store_file_attributes"

    file_number: Mapped[int] = mapped_column(
        sa.ForeignKey(StoreFileRow.number, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    text: Mapped[str | None] = mapped_column(_ByCodePoint, default=None)
    number: Mapped[float | None] = mapped_column(sa.Double, default=None)
    flag: Mapped[bool | None] = mapped_column(default=None)


class ChunkRow(Base):
    """A passage of a file; `number` names its vector in the index."""

    __tablename__ = "vector_store_chunks"
    __table_args__ = (sa.Index(None, "file_number", "position"), {"sqlite_autoincrement": True})

    number: Mapped[int] = mapped_column(_Number, primary_key=True)
    file_number: Mapped[int] = mapped_column(sa.ForeignKey(StoreFileRow.number, ondelete="CASCADE"))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(sa.Text)
    unit: Mapped[str] = mapped_column(sa.String(16))
    start: Mapped[int]
    end: Mapped[int]
