"""The platform's own log, on standard error: text for a person or JSON for a collector."""

import json
import logging
import sys
import time
from typing import Literal

from perijove_platform.request_id import RequestIdFilter

TEXT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


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


def configure_logging(style: Literal["text", "json"]) -> None:
    """Send every logger's records to standard error, with the id of the request that they belong to."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(JsonFormatter() if style == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Their INFO lines tell of our own requests to ourselves.
    for chatty in ("httpx", "httpx2", "httpcore", "botocore", "alembic", "milvus_lite", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
