"""The tables of files and uploads, and their SQL."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from perijove_platform.database import Base, Owned, now
from perijove_platform.files.schemas import FileListParams
from perijove_platform.pagination import paginate

_IN_ROWS = 500


class FileRow(Owned, Base):
    """A file whose content is whole in the object store; there are no rows of half ones."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    filename: Mapped[str] = mapped_column(sa.Text)
    purpose: Mapped[str] = mapped_column(sa.String(32))
    content_type: Mapped[str] = mapped_column(sa.String(255))
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    lines: Mapped[int | None] = mapped_column(sa.BigInteger)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    object_key: Mapped[str] = mapped_column(sa.String(512), unique=True)
    expires_at: Mapped[int | None] = mapped_column(sa.BigInteger, index=True)


class UploadRow(Owned, Base):
    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    filename: Mapped[str] = mapped_column(sa.Text)
    purpose: Mapped[str] = mapped_column(sa.String(32))
    mime_type: Mapped[str] = mapped_column(sa.String(255))
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    status: Mapped[str] = mapped_column(sa.String(16), index=True)
    expires_at: Mapped[int] = mapped_column(sa.BigInteger)
    file_seconds: Mapped[int | None] = mapped_column(sa.BigInteger)
    file_id: Mapped[str | None] = mapped_column(sa.String(64))


class UploadPartRow(Owned, Base):
    __tablename__ = "upload_parts"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    upload_id: Mapped[str] = mapped_column(sa.ForeignKey("uploads.id"), index=True)
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    offset: Mapped[int | None] = mapped_column("file_offset", sa.BigInteger)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    object_key: Mapped[str] = mapped_column(sa.String(512), unique=True)


class FileStore:
    """The files of one project; one that has expired is not there any more."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self.session = session
        self._project_id = project_id

    def _query(self) -> sa.Select[FileRow]:
        unexpired = sa.or_(FileRow.expires_at.is_(None), FileRow.expires_at > now())
        return sa.select(FileRow).where(FileRow.project_id == self._project_id, unexpired)

    async def add(self, row: FileRow) -> FileRow:
        assert row.project_id == self._project_id
        self.session.add(row)
        await self.session.flush()
        return row

    async def get(self, file_id: str) -> FileRow | None:
        return await self.session.scalar(self._query().where(FileRow.id == file_id))

    async def list(self, params: FileListParams) -> tuple[list[FileRow], bool]:
        query = self._query()
        if params.purpose is not None:
            query = query.where(FileRow.purpose == params.purpose)
        return await paginate(self.session, query, FileRow.id, params)

    async def delete(self, row: FileRow) -> None:
        await self.session.delete(row)
        await self.session.flush()


class UploadStore:
    """The uploads of one project, and their parts."""

    def __init__(self, session: AsyncSession, project_id: str) -> None:
        self._session = session
        self._project_id = project_id

    async def add(self, row: UploadRow | UploadPartRow) -> None:
        assert row.project_id == self._project_id
        self._session.add(row)
        await self._session.flush()

    async def get(self, upload_id: str, *, lock: bool = False) -> UploadRow | None:
        """The upload; with `lock`, nobody ends it before this transaction does."""
        query = sa.select(UploadRow).where(UploadRow.project_id == self._project_id, UploadRow.id == upload_id)
        return await self._session.scalar(query.with_for_update() if lock else query)

    async def parts(self, upload_id: str) -> list[UploadPartRow]:
        query = sa.select(UploadPartRow).where(
            UploadPartRow.project_id == self._project_id, UploadPartRow.upload_id == upload_id
        )
        return list((await self._session.scalars(query.order_by(UploadPartRow.id))).all())

    async def received(self, upload_id: str) -> tuple[int, int]:
        """Number of parts and their bytes."""
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(UploadPartRow.bytes), 0)).where(
            UploadPartRow.project_id == self._project_id, UploadPartRow.upload_id == upload_id
        )
        row = (await self._session.execute(query)).one()
        return int(row[0]), int(row[1])

    async def end(self, upload_id: str, status: str, *, file_id: str | None = None) -> bool:
        """Move a pending upload to its last status and forget its parts; false when it was not pending any more."""
        pending = sa.and_(
            UploadRow.project_id == self._project_id, UploadRow.id == upload_id, UploadRow.status == "pending"
        )
        changed = await self._session.scalar(
            sa.update(UploadRow).where(pending).values(status=status, file_id=file_id).returning(UploadRow.id)
        )
        if changed is None:
            return False
        await self._session.execute(
            sa.delete(UploadPartRow).where(
                UploadPartRow.project_id == self._project_id, UploadPartRow.upload_id == upload_id
            )
        )
        return True


class Housekeeping:
    """What the platform itself asks, over every project."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def expired_files(self, limit: int) -> list[FileRow]:
        query = sa.select(FileRow).where(FileRow.expires_at <= now()).order_by(FileRow.expires_at).limit(limit)
        return list((await self._session.scalars(query)).all())

    async def expired_uploads(self, limit: int) -> list[UploadRow]:
        query = sa.select(UploadRow).where(UploadRow.status == "pending", UploadRow.expires_at <= now()).limit(limit)
        return list((await self._session.scalars(query)).all())

    async def next_expiry(self) -> int | None:
        files = await self._session.scalar(sa.select(sa.func.min(FileRow.expires_at)))
        uploads = await self._session.scalar(
            sa.select(sa.func.min(UploadRow.expires_at)).where(UploadRow.status == "pending")
        )
        return min((at for at in (files, uploads) if at is not None), default=None)

    async def named(self, keys: Sequence[str]) -> set[str]:
        """Those of the object keys that a row names."""
        found: set[str] = set()
        for start in range(0, len(keys), _IN_ROWS):
            some = keys[start : start + _IN_ROWS]
            found.update(await self._session.scalars(sa.select(FileRow.object_key).where(FileRow.object_key.in_(some))))
            found.update(
                await self._session.scalars(
                    sa.select(UploadPartRow.object_key).where(UploadPartRow.object_key.in_(some))
                )
            )
        return found
