"""kubectl's configuration files: finding the one to change, and changing it without losing what others wrote."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
LOCK_SECONDS = 5.0
_SECTIONS = ("clusters", "users", "contexts")


class Unusable(Exception):
    """The file is no kubeconfig, or somebody else is writing it; the message says which and what to do."""


def chosen_file(entries: Mapping[str, Json]) -> Path:
    """Where kubectl itself would write these entries.

    That is the first file of ``$KUBECONFIG`` that has one of them, else the first that exists, else the last; without
    the variable, ``~/.kube/config``.
    """
    given = [Path(part).expanduser() for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    if not given:
        return Path.home() / ".kube" / "config"
    existing = [path for path in given if path.exists()]
    for path in existing:
        document = _read(path)
        if any(_named(document, section, entry["name"]) is not None for section, entry in entries.items()):
            return path
    return existing[0] if existing else given[-1]


def merge_into(path: Path, entries: Mapping[str, Json], *, current: str) -> None:
    """Put `entries`, one for each of clusters, users and contexts, into the file; everything else stays as it is.

    The file appears whole or not at all, readable by its owner only. kubectl, which locks in the same way, does not
    write at the same time.

    Raises:
        Unusable: see there.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        document = merged(_read(path), entries, current=current)
        _replace(path, text_of(document))


def merged(document: Json, entries: Mapping[str, Json], *, current: str) -> Json:
    """`document` with the entries in place of those of the same names."""
    result = {"apiVersion": "v1", "kind": "Config", **document}
    for section in _SECTIONS:
        entry = entries[section]
        others = list(result.get(section) or [])
        position = _named(result, section, entry["name"])
        if position is None:
            others.append(entry)
        else:
            others[position] = entry
        result[section] = others
    result["current-context"] = current
    return result


def text_of(document: Json) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=2**20)
    return text


def _named(document: Json, section: str, name: str) -> int | None:
    for position, entry in enumerate(document.get(section) or []):
        if isinstance(entry, dict) and entry.get("name") == name:
            return position
    return None


def _read(path: Path) -> Json:
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError):
        raise Unusable(f"{path} is not YAML. Correct it, or give another file by --output.") from None
    if document is None:
        return {}
    sound = isinstance(document, dict) and all(isinstance(document.get(section) or [], list) for section in _SECTIONS)
    if not sound:
        raise Unusable(f"{path} is not a kubeconfig. Give another file by --output.")
    return dict(document)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold ``<path>.lock``, as kubectl does."""
    lock = path.with_name(f"{path.name}.lock")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise Unusable(
                    f"{path} is being written by another program. If there is none, remove {lock}."
                ) from None
            time.sleep(0.05)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
