"""A checkpoint's folder as one tar file, and back."""

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath


def pack(folder: Path, target: Path) -> None:
    """Write the regular files below `folder`; `target` appears whole or not at all.

    Raises:
        OSError: the folder has gone meanwhile, or the disk is full.
    """
    building = target.with_name(f"{target.name}.part")
    try:
        with tarfile.open(building, "w", format=tarfile.PAX_FORMAT) as archive:
            for where, folders, names in os.walk(folder, onerror=_raise):
                folders.sort()
                for name in sorted(names):
                    path = Path(where, name)
                    archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
        building.replace(target)
    finally:
        building.unlink(missing_ok=True)


def unpack(archive_path: Path, target: Path) -> None:
    """Make `target` a folder with the archive's files; it appears whole or not at all.

    Raises:
        ValueError: it is no such archive: a name leads out of the folder, or an entry is no regular file.
        OSError: the disk is full.
    """
    building = target.with_name(f"{target.name}.part")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        with tarfile.open(archive_path) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                source = archive.extractfile(member) if member.isreg() else None
                if source is None or name.is_absolute() or ".." in name.parts or not name.parts:
                    raise ValueError(f"the archive has an entry that is no plain file: {member.name[:100]!r}")
                path = building.joinpath(*name.parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    except tarfile.TarError as error:
        raise ValueError(f"the archive cannot be read: {error}") from None
    else:
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _raise(error: OSError) -> None:
    raise error
