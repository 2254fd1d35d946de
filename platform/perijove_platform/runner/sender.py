"""The thread that brings the journal's reports to the platform."""

import sqlite3
import threading
import time
from collections.abc import Callable

from perijove_platform.runner.errors import Away, Ended, GaveUp, Rejected, ReportGap, RunEnded, Superseded
from perijove_platform.runner.exchange import PlatformClient
from perijove_platform.runner.journal import Journal
from perijove_platform.runner.patience import Patience

GROUP_SECONDS = 0.1
"""Reports that come together travel together."""
_LOOK_SECONDS = 1.0


class Sender:
    """Sends until the platform takes nothing more of this run.

    Args:
        refused: called once, from the thread, with `Ended` or `Superseded`.
        say: writes a line to the pod's log.
    """

    def __init__(
        self,
        journal: Journal,
        client: PlatformClient,
        refused: Callable[[RunEnded], None],
        say: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._client = client
        self._refused = refused
        self._say = say
        self._stopping = threading.Event()
        self._away = False
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Without sending what still waits."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        patience = self._patience()
        most: int | None = None
        while not self._stopping.is_set():
            if not self._journal.wait_for_reports(_LOOK_SECONDS):
                continue
            if most is None:
                time.sleep(GROUP_SECONDS)
            try:
                most = self._send(most)
                self._back()
                patience.progressed()
            except (Away, sqlite3.Error) as error:  # of the latter, a full disk
                self._gone(error)
                try:
                    patience.wait(error)
                except GaveUp:
                    patience = self._patience()  # what to do is decided by who waits for the reports
            except (Ended, Superseded) as error:
                self._refused(error)
                return

    def _patience(self) -> Patience:
        return Patience(lambda seconds: void(self._stopping.wait(seconds)))

    def _send(self, most: int | None) -> int | None:
        """Send a batch. Returns how many to send at most the next time, ``None`` for as many as fit.

        A batch that the platform refuses is halved until the report at fault is alone, and replaced.
        """
        first, reports = self._journal.batch() if most is None else self._journal.batch(most)
        if not reports or self._journal.attempt is None:
            return None
        try:
            received = self._client.send_reports(self._journal.attempt, first, reports)
        except Rejected as error:
            if len(reports) > 1:
                return len(reports) // 2
            self._say(f"the platform refuses a report: {error}")
            message = f"A report of the program ({reports[0].get('type')}) was refused: {error}"
            self._journal.replace(first, {"type": "message", "level": "warn", "message": message[:1000]})
            return 1
        except ReportGap:
            self._journal.begin(self._client.new_attempt())
            return most
        self._journal.acknowledge(received)
        return None

    def _gone(self, error: Exception) -> None:
        if not self._away:
            self._say(f"{error}; reports are kept until it is back")
        self._away = True

    def _back(self) -> None:
        if self._away:
            self._say("the platform is back")
        self._away = False


def void(_: object) -> None:
    """Makes a callback of an expression whose value is not wanted."""
