"""`perijove files`."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import click

from perijove_platform.cli.session import Failed, Json, Session, age_text, field, plain, size_text, with_session

PURPOSES = ["fine-tune", "assistants", "batch", "vision", "user_data", "evals"]
PART_BYTES = 32 * 1024 * 1024
IN_PARTS_FROM = 256 * 1024 * 1024
"""Files from this size on are sent in parts, so that an upload that breaks off can be resumed."""
_SHOWN_ERRORS = 20


@click.group("files")
def command() -> None:
    """Upload, list, download, validate and delete files."""


@command.command("list")
@click.option("--purpose", help="Only files with this purpose.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@with_session
def list_files(session: Session, purpose: str | None, limit: int) -> None:
    """List files, newest first."""
    filters = {"purpose": purpose} if purpose else {}
    session.table(
        session.pages("/v1/files", limit=limit, **filters),
        [
            ("ID", field("id")),
            ("NAME", field("filename")),
            ("PURPOSE", field("purpose")),
            ("SIZE", lambda file: size_text(file["bytes"])),
            ("LINES", field("lines")),
            ("CREATED", lambda file: age_text(file["created_at"])),
        ],
        empty="There are no files. Upload one with `perijove files upload PATH`.",
    )


@command.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--purpose", type=click.Choice(PURPOSES), help="By default fine-tune for .jsonl, else user_data.")
@click.option("--expires-seconds", type=click.IntRange(3600, 2_592_000), help="Delete it by itself after so long.")
@click.option("--resume", metavar="UPLOAD_ID", help="Go on with an upload in parts that broke off.")
@with_session
def upload(
    session: Session, paths: tuple[Path, ...], purpose: str | None, expires_seconds: int | None, resume: str | None
) -> None:
    """Upload files."""
    if resume and len(paths) != 1:
        raise click.UsageError("--resume goes with one file.")
    files = [upload_path(session, path, purpose, expires_seconds=expires_seconds, resume=resume) for path in paths]
    if session.as_json:
        session.table(files, [], empty="")
        return
    for file in files:
        session.show(file, f"{file['id']}  {file['filename']}")


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
    size = path.stat().st_size
    with path.open("rb") as file, progress(session, path.name, size) as advance:
        if resume or size >= IN_PARTS_FROM:
            return _upload_in_parts(session, file, path.name, size, purpose, expires_seconds, resume, advance)
        form = {"purpose": purpose}
        if expires_seconds:
            form |= {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(expires_seconds)}
        watched: Any = _Watched(file, advance)
        return session.call("POST", "/v1/files", data=form, files={"file": (path.name, watched)})


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
        task = bar.add_task(plain(label), total=total)
        yield lambda count: bar.advance(task, count)


@command.command()
@click.argument("file_id")
@click.option("-o", "--output", help="Path to write; - is standard output. By default the file's own name, here.")
@click.option("--force", is_flag=True, help="Overwrite.")
@with_session
def download(session: Session, file_id: str, output: str | None, force: bool) -> None:
    """Download a file."""
    file = session.call("GET", f"/v1/files/{file_id}")
    if output == "-":
        _fetch(session, file, sys.stdout.buffer)
        return
    path = Path(output) if output else Path(safe_name(file))
    if path.is_dir():
        path /= safe_name(file)
    if path.exists() and not force:
        raise Failed(f"{path} exists. Give --force to overwrite it, or another path with --output.")
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as target:
            _fetch(session, file, target)
        partial.replace(path)
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    session.show({**file, "path": str(path)}, f"Wrote {path} ({size_text(file['bytes'])}).")


def _fetch(session: Session, file: Json, target: IO[bytes]) -> None:
    with (
        progress(session, file["filename"], file["bytes"]) as advance,
        session.stream("GET", f"/v1/files/{file['id']}/content") as answer,
    ):
        for chunk in answer.iter_bytes():
            target.write(chunk)
            advance(len(chunk))


def safe_name(file: Json) -> str:
    """The last part of the file's name, which came from elsewhere and must not lead out of this folder."""
    name = plain(file["filename"]).replace("\\", "/").rpartition("/")[2]
    return str(file["id"]) if name.strip(". ") == "" else name


@command.command()
@click.argument("file_ids", nargs=-1, required=True)
@with_session
def delete(session: Session, file_ids: tuple[str, ...]) -> None:
    """Delete files."""
    for file_id in file_ids:
        session.show(session.call("DELETE", f"/v1/files/{file_id}"), f"Deleted {file_id}.")


@command.command()
@click.argument("file_id")
@click.option("--max-tokens", type=click.IntRange(1), help="The longest example allowed.")
@with_session
def validate(session: Session, file_id: str, max_tokens: int | None) -> None:
    """Check whether an uploaded file can be trained on. Exit code 1 when it cannot."""
    limit = {"max_tokens": max_tokens} if max_tokens else {}
    result = session.call("GET", f"/v1/files/{file_id}/validation", params={"purpose": "fine-tune", **limit})
    found = f"lines {result['lines']}, good examples {result['examples']}, errors {result['error_count']}"
    session.show(result, found)
    if not session.as_json:
        for problem in result["warnings"]:
            click.echo(plain(f"note: {problem['message']}"))
        for problem in result["errors"][:_SHOWN_ERRORS]:
            click.echo(plain(f"line {problem['line']}: {problem['message']}"))
    if not result["valid"]:
        sys.exit(1)
