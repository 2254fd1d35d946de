"""Checkpoints that survive a kill at any moment: written in another folder, then moved into place whole."""

import os
import re
import shutil
from pathlib import Path

_NAME = re.compile(r"checkpoint-(\d+)")


class Checkpoints:
    """The checkpoints of a run, in `folder`; `building` is where the next one is written.

    Args:
        keep: how many are kept; a run only ever goes on from the newest.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder = folder
        self.building = folder / "building"
        self._keep = keep
        shutil.rmtree(self.building, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)

    def latest(self) -> Path | None:
        steps = self._steps()
        return self._path(steps[-1]) if steps else None

    def publish(self, step: int) -> Path:
        """Move the checkpoint of `step` into place, and remove those beyond `keep`."""
        written = self.building / f"checkpoint-{step}"
        for file in written.iterdir():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        shutil.rmtree(self._path(step), ignore_errors=True)
        written.rename(self._path(step))
        for old in self._steps()[: -self._keep]:
            shutil.rmtree(self._path(old), ignore_errors=True)
        return self._path(step)

    def _path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"

    def _steps(self) -> list[int]:
        return sorted(int(match[1]) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name)))
