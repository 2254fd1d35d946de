"""An object store of each kind: a folder, and S3 as rclone serves it."""

import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from perijove_platform.objects import ObjectStore
from perijove_platform.objects.folder import FolderStore
from s3_server import S3Server, s3

__all__ = ["s3"]


@pytest.fixture(params=["folder", "s3"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    """An empty, started store of each kind."""
    store: ObjectStore
    if request.param == "folder":
        store = FolderStore(tmp_path / "objects")
    else:
        server: S3Server = request.getfixturevalue("s3")
        store = server.store(server.bucket(), tmp_path / "scratch")
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB where this user may mount one, else a folder whose files end at 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False).returncode == 0
    )
    if mounted:
        yield folder
        subprocess.run(["umount", folder], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * 1024 * 1024, hard))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
