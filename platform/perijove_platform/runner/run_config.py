"""What the runner is told: the files of the job's Secret."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perijove_platform.runner.contract import CA_FILE, GRACE_SECONDS, RUN_FILE, TOKEN_FILE
from perijove_platform.runner.errors import BadConfig

_PROGRAM = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One job's run.

    Attributes:
        platform_url: without trailing slash, without ``/v1``.
        program: the package of `perijove_platform` that is run.
        config: goes into the working folder as ``config.json``.
        grace_seconds: between SIGTERM and SIGKILL.
        ca: certificates (PEM) that are believed besides the public ones.
    """

    job_id: str
    platform_url: str
    program: str
    config: Mapping[str, Any]
    grace_seconds: float = GRACE_SECONDS
    ca: str | None = None
    token: str = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> "RunConfig":
        """Raises `BadConfig` when a file is missing or is not what it should be."""
        try:
            run = json.loads((folder / RUN_FILE).read_bytes())
            token = (folder / TOKEN_FILE).read_text(encoding="ascii").strip()
            ca = (folder / CA_FILE).read_text(encoding="utf-8") if (folder / CA_FILE).exists() else None
            read = cls(
                job_id=str(run["job_id"]),
                platform_url=str(run["platform_url"]).rstrip("/"),
                program=str(run["program"]),
                config=dict(run["config"]),
                grace_seconds=float(run.get("grace_seconds", GRACE_SECONDS)),
                ca=ca,
                token=token,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadConfig(f"The job's Secret cannot be used: {type(error).__name__}: {error}.") from None
        if (
            not token
            or not _PROGRAM.fullmatch(read.program)
            or not read.platform_url.startswith(("http://", "https://"))
        ):
            raise BadConfig("The job's Secret cannot be used: it has no token, program or platform address.")
        return read
