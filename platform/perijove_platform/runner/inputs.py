"""Brings the job's inputs and its newest checkpoint into the working folder."""

import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perijove_platform.runner.archive import unpack
from perijove_platform.runner.errors import Away, InputFailed, Stale
from perijove_platform.runner.exchange import PlatformClient, download, sha256_of
from perijove_platform.runner.memory import format_bytes
from perijove_platform.runner.patience import Patience

CHECKPOINTS = "checkpoints"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_ATTEMPTS = 3


class InputFiles:
    """Fetches what is not there yet; a file appears whole and checked, or not at all.

    Args:
        state: folder for what is half fetched.
        report: what is being done, for the job's state.
        say: writes a line to the pod's log.
    """

    def __init__(
        self,
        client: PlatformClient,
        work: Path,
        state: Path,
        report: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self._client = client
        self._work = work
        self._state = state
        self._report = report
        self._say = say

    def fetch(self) -> None:
        """Everything.

        Raises:
            InputFailed: an input is not there, or is not what was promised.
            GaveUp: platform or object store are away for too long.
            OSError: the disk is full.
        """
        listed = self._ask()
        for file in listed["inputs"]:
            self._fetch_file(file["path"], self._work / _checked(file["path"]), file)
        if (checkpoint := listed.get("checkpoint")) is not None:
            self._fetch_checkpoint(checkpoint)

    def _ask(self) -> dict[str, Any]:
        patience = Patience()
        while True:
            try:
                return self._client.inputs()
            except Away as error:
                self._say(str(error))
                patience.wait(error)

    def _fetch_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        step = int(checkpoint["step"])
        folder = self._work / CHECKPOINTS
        if newest_step(folder) >= step:
            return
        archive = self._state / "checkpoint.tar"
        try:
            self._fetch_file(CHECKPOINTS, archive, checkpoint)
            unpack(archive, folder / f"checkpoint-{step}")
        except (InputFailed, ValueError) as error:
            self._say(f"the checkpoint of step {step} cannot be used, the training begins anew: {error}")
        finally:
            archive.unlink(missing_ok=True)

    def _fetch_file(self, path: str, target: Path, file: dict[str, Any]) -> None:
        size, sha256 = int(file["size"]), str(file["sha256"])
        if target.exists() and target.stat().st_size == size and sha256_of(target) == sha256:
            return
        if size > shutil.disk_usage(self._work).free:
            raise OSError(errno.ENOSPC, f"no room for {path} ({format_bytes(size)})")
        self._report(f"fetching {path} ({format_bytes(size)})")
        target.parent.mkdir(parents=True, exist_ok=True)
        building = self._state / f"{sha256}.part"
        patience = Patience()
        stale = damaged = 0
        while True:
            try:
                download(str(file["url"]), building, size, patience.progressed)
                if building.stat().st_size < size:
                    raise Away("The connection was cut")
                if sha256_of(building) == sha256:
                    break
                building.unlink()
                damaged += 1
                if damaged == _ATTEMPTS:
                    raise InputFailed(f"{path} in the object store is not what it was: its SHA-256 differs.")
            except Stale as error:
                stale += 1
                if stale > _ATTEMPTS:
                    raise InputFailed(f"{path} cannot be fetched. {error}.") from None
                file = self._fresh(path, file)
            except Away as error:
                self._say(f"fetching {path}: {error}")
                patience.wait(error)
        building.replace(target)

    def _fresh(self, path: str, file: dict[str, Any]) -> dict[str, Any]:
        """The same file under a new address."""
        listed = self._ask()
        found = [listed.get("checkpoint")] if path == CHECKPOINTS else listed["inputs"]
        for other in found:
            if other is not None and other["sha256"] == file["sha256"]:
                return dict(other)
        raise InputFailed(f"{path} is not there any more.")


def newest_step(folder: Path) -> int:
    """Of the checkpoints that lie in `folder`; -1 when there is none."""
    if not folder.is_dir():
        return -1
    return max((int(match[1]) for path in folder.iterdir() if (match := _CHECKPOINT.fullmatch(path.name))), default=-1)


def _checked(path: str) -> str:
    if not _PATH.fullmatch(path) or path.split("/")[0] == CHECKPOINTS:
        raise InputFailed(f"'{path[:100]}' cannot be the place of an input.")
    return path
