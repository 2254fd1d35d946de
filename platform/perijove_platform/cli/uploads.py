"""Sending files of this machine, for the commands that take paths."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from perijove_platform.cli.failures import Failed, Json
from perijove_platform.cli.session import Session
from perijove_platform.legible import legible

PART_BYTES = 32 * 1024 * 1024
IN_PARTS_FROM = 256 * 1024 * 1024
"""Files from this size on are sent in parts, so that an upload that breaks off can be resumed."""


class Uploads:
    """What a command uploads only to hand it on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids: list[str] = []
        self._handed_over = False

    def id_of(self, file: str, purpose: str) -> str:
        """The id of a file, which is uploaded first where `file` is a path."""
        path = Path(file)
        if not path.is_file():
            return file
        uploaded = str(upload_path(self._session, path, purpose)["id"])
        self._ids.append(uploaded)
        return uploaded

    def hand_over(self, path: str, body: Json) -> Json:
        """Create what the files were uploaded for; from then on they are no longer this command's."""
        self._handed_over = True
        created = self._session.call("POST", path, json=body)
        self._ids.clear()
        return created

    def take_back(self, failure: Failed) -> None:
        """Delete the files of a request that was refused; `failure` tells so."""
        for file_id in self._ids:
            if self._handed_over and not failure.refused:
                failure.add(f"The upload {file_id} was kept, as the request may have been accepted.")
                continue
            try:
                self._session.call("DELETE", f"/v1/files/{file_id}")
            except Failed as error:
                failure.add(f"The upload {file_id} could not be deleted again: {error.message}")
            else:
                failure.add(f"The upload {file_id} was deleted again.")


@contextlib.contextmanager
def uploads(session: Session) -> Iterator[Uploads]:
    """Uploads that do not stay behind when the block fails."""
    made = Uploads(session)
    try:
        yield made
    except Failed as failure:
        made.take_back(failure)
        raise


def upload_path(
    session: Session,
    path: Path,
    purpose: str | None,
    *,
    expires_seconds: int | None = None,
    resume: str | None = None,
) -> Json:
    """Upload one file of this machine, with a progress bar on a terminal."""
    purpose = purpose or ("fine-tune" if path.suffix == ".jsonl" else "user_data")
    try:
        size = path.stat().st_size
        with path.open("rb") as file, progress(session, path.name, size) as advance:
            if resume or size >= IN_PARTS_FROM:
                return _upload_in_parts(session, file, path.name, size, purpose, expires_seconds, resume, advance)
            form = {"purpose": purpose}
            if expires_seconds:
                form |= {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(expires_seconds)}
            watched: Any = _Watched(file, advance)
            return session.call("POST", "/v1/files", data=form, files={"file": (path.name, watched)})
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror or error}.") from None


def _upload_in_parts(
    session: Session,
    file: BinaryIO,
    name: str,
    size: int,
    purpose: str,
    expires_seconds: int | None,
    resume: str | None,
    advance: Callable[[int], None],
) -> Json:
    if resume:
        upload = session.call("GET", f"/v1/uploads/{resume}")
        if upload["bytes"] != size:
            raise Failed(f"The upload {resume} is of a file with {upload['bytes']:,} bytes; this one has {size:,}.")
    else:
        body = {"filename": name, "purpose": purpose, "bytes": size, "mime_type": "application/octet-stream"}
        expiry = {"expires_after": {"anchor": "created_at", "seconds": expires_seconds}} if expires_seconds else {}
        upload = session.call("POST", "/v1/uploads", json={**body, **expiry})
    received = {part["offset"]: part for part in upload.get("parts") or ()}
    part_ids = []
    offset = 0
    try:
        while offset < size:
            part = received.get(offset)
            if part is None:
                file.seek(offset)
                data = file.read(min(PART_BYTES, size - offset))
                url = f"/v1/uploads/{upload['id']}/parts"
                part = session.call("POST", url, files={"data": (name, data)}, data={"offset": str(offset)})
            part_ids.append(part["id"])
            offset += part["bytes"]
            advance(part["bytes"])
        done = session.call("POST", f"/v1/uploads/{upload['id']}/complete", json={"part_ids": part_ids})
    except (Failed, KeyboardInterrupt) as error:
        reason = error.message if isinstance(error, Failed) else "Interrupted."
        raise Failed(f"{reason} Go on within the hour with --resume {upload['id']}.") from None
    whole: Json = done["file"]
    return whole


class _Watched:
    """A file whose reading is told to `advance`."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._advance(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextlib.contextmanager
def progress(session: Session, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal; yields what moves it by so many bytes."""
    if session.as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    text = TextColumn("{task.description}", markup=False)
    with Progress(text, *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(legible(label), total=total)
        yield lambda count: bar.advance(task, count)
