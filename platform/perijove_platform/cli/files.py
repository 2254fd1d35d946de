"""`perijove files`."""

import sys
from pathlib import Path
from typing import IO

import click

from perijove_platform.cli.failures import Failed, Json
from perijove_platform.cli.session import Session, age_text, field, size_text, with_session
from perijove_platform.cli.uploads import progress, upload_path
from perijove_platform.legible import legible

PURPOSES = ["fine-tune", "assistants", "batch", "vision", "user_data", "evals"]
_SHOWN_ERRORS = 20


@click.group("files")
def command() -> None:
    """Upload, list, preview, download, validate and delete files."""


@command.command("list")
@click.option("--purpose", help="Only files with this purpose.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@with_session
def list_files(session: Session, purpose: str | None, limit: int) -> None:
    """List files, newest first."""
    filters: Json = {"purpose": purpose} if purpose else {}
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
    files = (upload_path(session, path, purpose, expires_seconds=expires_seconds, resume=resume) for path in paths)
    session.show_each(files, lambda file: f"{file['id']}  {file['filename']}")


@command.command()
@click.argument("file_id")
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, help="Lines to skip.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Lines to show.")
@with_session
def preview(session: Session, file_id: str, offset: int, limit: int) -> None:
    """Show the first lines of a file, with their numbers."""
    found = session.get(f"/v1/files/{file_id}/preview", offset=offset, limit=limit)
    if session.as_json:
        session.print_json(found)
        return
    if found["binary"]:
        raise Failed(f"{file_id} is not text. Fetch it with `perijove files download {file_id}`.")
    for line in found["lines"]:
        click.echo(f"{line['number']:>6}  {legible(line['text'])}{' …' if line['truncated'] else ''}")
    click.echo(f"{len(found['lines'])} of {found['total_lines']} lines", err=True)


@command.command()
@click.argument("file_id")
@click.option("-o", "--output", help="Path to write; - is standard output. By default the file's own name, here.")
@click.option("--force", is_flag=True, help="Overwrite.")
@with_session
def download(session: Session, file_id: str, output: str | None, force: bool) -> None:
    """Download a file."""
    if output == "-" and session.as_json:
        raise click.UsageError("--json and --output - both want standard output: give one of them.")
    file = session.call("GET", f"/v1/files/{file_id}")
    if output == "-":
        _fetch(session, file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
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
    name = legible(file["filename"]).replace("\\", "/").rpartition("/")[2]
    return str(file["id"]) if name.strip(". ") == "" else name


@command.command()
@click.argument("file_ids", nargs=-1, required=True)
@with_session
def delete(session: Session, file_ids: tuple[str, ...]) -> None:
    """Delete files."""
    deleted = (session.call("DELETE", f"/v1/files/{file_id}") for file_id in file_ids)
    session.show_each(deleted, lambda file: f"Deleted {file['id']}.")


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
            click.echo(legible(f"note: {problem['message']}"))
        for problem in result["errors"][:_SHOWN_ERRORS]:
            click.echo(legible(f"line {problem['line']}: {problem['message']}"))
    if not result["valid"]:
        sys.exit(1)
