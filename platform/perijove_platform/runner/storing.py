"""Puts files into the object store, by addresses that the platform signs for each attempt."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perijove_platform.runner.archive import pack
from perijove_platform.runner.contract import MAX_OBJECT_BYTES
from perijove_platform.runner.errors import Away, Stale
from perijove_platform.runner.exchange import PlatformClient, sha256_of, upload
from perijove_platform.runner.memory import format_bytes
from perijove_platform.runner.patience import Patience

Report = Callable[[Mapping[str, Any]], bool]


def store_once(client: PlatformClient, source: Path, path: str) -> dict[str, Any]:
    """One attempt to make `source` the object `path`; returns the report that says so.

    Raises:
        Away: platform or object store cannot be reached, or refuse an address that is fresh.
        Ended: the job has.
    """
    size, sha256 = source.stat().st_size, sha256_of(source)
    url = client.put_urls([path])[path]
    try:
        with source.open("rb") as file:
            upload(url, file, size)
    except Stale as error:
        raise Away(str(error)) from None
    return {"type": "stored", "path": path, "size": size, "sha256": sha256}


def store(client: PlatformClient, source: Path, path: str, patience: Patience, say: Callable[[str], None]) -> Any:
    """As `store_once`, as often as it takes. Raises `GaveUp`, too."""
    while True:
        try:
            return store_once(client, source, path)
        except Away as error:
            say(f"storing {path}: {error}")
            patience.wait(error)


class CheckpointStore:
    """The thread that stores the newest checkpoint; while it cannot, newer ones take the place of older ones.

    Args:
        state: folder for the archive on its way.
        report: takes the ``stored`` report.
        say: writes a line to the pod's log.
    """

    def __init__(self, client: PlatformClient, state: Path, report: Report, say: Callable[[str], None]) -> None:
        self._client = client
        self._state = state
        self._report = report
        self._say = say
        self._changed = threading.Condition()
        self._waiting: tuple[int, Path] | None = None
        self._busy = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, step: int, folder: Path) -> None:
        """Store the checkpoint that lies in `folder`, unless a newer one is offered first."""
        with self._changed:
            self._waiting = (step, folder)
            self._changed.notify_all()

    def wait_until_stored(self, seconds: float) -> bool:
        """Whether everything that was offered has been stored, after waiting for it."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and not self._busy, max(0.0, seconds))

    def stop(self) -> None:
        """What has not been stored is given up."""
        with self._changed:
            self._stopping = True
            self._waiting = None
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting is not None or self._stopping)
                if self._waiting is None:
                    return
                step, folder = self._waiting
                self._waiting, self._busy = None, True
            try:
                self._store(step, folder)
            except Exception as error:  # whatever it is, the training goes on, and the next one may be stored
                self._say(f"the checkpoint of step {step} is not stored: {error}")

    def _store(self, step: int, folder: Path) -> None:
        name = f"{step:05}.tar"
        archive = self._state / name
        try:
            began = time.monotonic()
            pack(folder, archive)
            size = archive.stat().st_size
            if size > MAX_OBJECT_BYTES:
                raise OSError(f"it has {format_bytes(size)}, an object has at most {format_bytes(MAX_OBJECT_BYTES)}")
            patience = Patience(self._sleep)
            while True:
                try:
                    stored = store_once(self._client, archive, f"checkpoints/{name}")
                    break
                except Away as error:
                    self._say(f"storing the checkpoint of step {step}: {error}")
                    patience.wait(error)
                if self._outdated():
                    return
            self._report(stored)
            self._say(f"checkpoint of step {step} stored ({format_bytes(size)}, {time.monotonic() - began:.1f} s)")
        finally:
            archive.unlink(missing_ok=True)

    def _sleep(self, seconds: float) -> None:
        """Ends early when there is something newer to store."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._stopping, seconds)

    def _outdated(self) -> bool:
        with self._changed:
            return self._waiting is not None or self._stopping
