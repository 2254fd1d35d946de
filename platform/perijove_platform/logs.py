"""The platform's own log, on standard error: text for a person or JSON for a collector."""

import atexit
import contextlib
import json
import logging
import os
import sys
import threading
import time
from logging.handlers import QueueHandler
from pathlib import Path
from queue import Full, Queue
from typing import Literal, TextIO

from perijove_platform.request_id import RequestIdFilter

TEXT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
MAX_FILE_BYTES = 10 << 20
_MAX_WAITING = 10_000
_STOP_SECONDS = 2.0


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class BoundedQueueHandler(QueueHandler):
    """Formats a record where it is made and leaves the writing to a thread, so that no disk or pipe holds up the loop.

    When the writer is `_MAX_WAITING` records behind, newer ones are dropped, and their number is told afterwards.
    """

    def __init__(self, waiting: "Queue[logging.LogRecord | None]") -> None:
        super().__init__(waiting)
        self._waiting = waiting
        self._dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self._dropped:
                self._waiting.put_nowait(_told(f"(log records that were dropped: {self._dropped})"))
                self._dropped = 0
            self._waiting.put_nowait(record)
        except Full:
            self._dropped += 1


class OwnFileHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error, which is the file `path`.

    Before it would grow beyond `max_bytes`, it becomes ``<name>.1`` and standard output and error go on in a new one,
    so that two files of that size are kept, whoever in this process writes to them.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        super().__init__(sys.stderr)
        self._path = path
        self._max_bytes = max_bytes

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # better one file that is too long than no log
            if os.fstat(2).st_size + len(record.getMessage().encode(errors="replace")) > self._max_bytes:
                self._rotate()
        super().emit(record)

    def _rotate(self) -> None:
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        shared = os.path.samestat(os.fstat(1), os.fstat(2))
        with self._path.open("ab") as fresh:
            os.dup2(fresh.fileno(), 2)
            if shared:
                os.dup2(fresh.fileno(), 1)


class Writer:
    """The thread that hands what waits to a handler."""

    def __init__(self, waiting: "Queue[logging.LogRecord | None]", handler: logging.Handler) -> None:
        self._waiting = waiting
        self._handler = handler
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes the rest, unless what it writes to is stuck."""
        with contextlib.suppress(Full):
            self._waiting.put(None, timeout=_STOP_SECONDS)
            self._thread.join(_STOP_SECONDS)

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._handler.handle(record)


def configure_logging(style: Literal["text", "json"], own_file: Path | None = None) -> None:
    """Send every logger's records to standard error, with the id of the request that they belong to.

    Args:
        own_file: is kept within bounds where standard error is this file, as whoever starts a platform in the
            background makes it.
    """
    waiting: Queue[logging.LogRecord | None] = Queue(_MAX_WAITING)
    handler = BoundedQueueHandler(waiting)
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(JsonFormatter() if style == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Their INFO lines tell of our own requests to ourselves.
    for chatty in ("httpx", "httpx2", "httpcore", "botocore", "alembic", "milvus_lite", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    atexit.register(Writer(waiting, _written_by(own_file)).stop)


def _written_by(own_file: Path | None) -> logging.Handler:
    try:
        if own_file is not None and os.path.samestat(os.fstat(2), own_file.stat()):
            return OwnFileHandler(own_file, max_bytes=MAX_FILE_BYTES)
    except OSError:  # there is no such file, or no standard error
        pass
    return logging.StreamHandler(sys.stderr)


def _told(message: str) -> logging.LogRecord:
    return logging.makeLogRecord({"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": message})
