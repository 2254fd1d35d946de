"""Reports on their way: numbered, kept on disk until the platform has acknowledged them."""

import json
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from perijove_platform.runner.contract import MAX_REPORT_BYTES, MAX_REPORTS, MAX_REQUEST_BYTES

MAX_BYTES = 64 * 1024 * 1024
"""Beyond this, figures and messages are dropped, and only what decides about the job is kept."""
_EXPENDABLE = frozenset({"metrics", "message", "progress"})


class Journal:
    """The queue of one working folder; used by several threads.

    Attributes:
        attempt: which one of the job's pods this is; ``None`` before the platform has said so.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._changed = threading.Condition()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # The folder goes with the pod: what must be survived is the end of this process.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute("CREATE TABLE IF NOT EXISTS reports (number INTEGER PRIMARY KEY, report TEXT NOT NULL)")
        self._database.execute("CREATE TABLE IF NOT EXISTS attempt (attempt INTEGER NOT NULL, last INTEGER NOT NULL)")
        self._bytes = self._one("SELECT coalesce(sum(length(report)), 0) FROM reports")
        self._dropped = 0
        known = self._database.execute("SELECT attempt FROM attempt").fetchone()
        self.attempt: int | None = known[0] if known else None

    def close(self) -> None:
        with self._changed:
            self._database.close()

    def begin(self, attempt: int) -> None:
        """Number from 1 on what waits and what comes."""
        with self._changed:
            waiting = [row[0] for row in self._database.execute("SELECT report FROM reports ORDER BY number")]
            self._database.execute("BEGIN")
            self._database.execute("DELETE FROM reports")
            self._database.executemany("INSERT INTO reports VALUES (?, ?)", enumerate(waiting, start=1))
            self._database.execute("DELETE FROM attempt")
            self._database.execute("INSERT INTO attempt VALUES (?, ?)", (attempt, len(waiting)))
            self._database.execute("COMMIT")
            self.attempt = attempt

    def add(self, report: Mapping[str, Any]) -> bool:
        """False when it is no JSON, too large, or there is no room for it."""
        try:
            text = json.dumps(report, allow_nan=False)
        except (ValueError, TypeError):
            return False
        if len(text) > MAX_REPORT_BYTES:
            return False
        with self._changed:
            if self._bytes + len(text) > MAX_BYTES and report.get("type") in _EXPENDABLE:
                self._dropped += 1
                return False
            try:
                if self._dropped and self._bytes < MAX_BYTES // 2:
                    message = f"{self._dropped} reports were dropped while the platform was away"
                    self._insert(json.dumps({"type": "message", "level": "warn", "message": message}))
                    self._dropped = 0
                self._insert(text)
            except sqlite3.OperationalError:  # the disk is full
                self._dropped += 1
                return False
            self._changed.notify_all()
        return True

    def _insert(self, text: str) -> None:
        self._database.execute("BEGIN")
        try:
            self._database.execute("UPDATE attempt SET last = last + 1")
            self._database.execute("INSERT INTO reports SELECT last, ? FROM attempt", (text,))
            self._database.execute("COMMIT")
        except BaseException:  # a signal's, too
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._bytes += len(text)

    def batch(self, most: int = MAX_REPORTS) -> tuple[int, list[dict[str, Any]]]:
        """The number of the first waiting report, and it with the next ones; 0 and nothing when none waits."""
        query = "SELECT number, report FROM reports ORDER BY number LIMIT ?"
        with self._changed, closing(self._database.execute(query, (most,))) as rows:
            found: list[dict[str, Any]] = []
            first = size = 0
            for number, text in rows:
                size += len(text)
                if found and size > MAX_REQUEST_BYTES:
                    break
                first = first or number
                found.append(json.loads(text))
            return first, found

    def replace(self, number: int, report: Mapping[str, Any]) -> None:
        """Put another report in the place of one that the platform refuses."""
        with self._changed:
            self._database.execute("UPDATE reports SET report = ? WHERE number = ?", (json.dumps(report), number))

    def acknowledge(self, number: int) -> None:
        """Forget everything up to `number`."""
        with self._changed:
            self._database.execute("DELETE FROM reports WHERE number <= ?", (number,))
            self._bytes = self._one("SELECT coalesce(sum(length(report)), 0) FROM reports")
            self._changed.notify_all()

    def wait_for_reports(self, seconds: float) -> bool:
        """Whether there are any, after waiting for them."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting() > 0, seconds)

    def wait_until_sent(self, seconds: float) -> bool:
        """Whether everything has been acknowledged, after waiting for it."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting() == 0, seconds)

    def _waiting(self) -> int:
        return self._one("SELECT count(*) FROM reports")

    def _one(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])
