"""``python -m perijove_platform.engines.llamacpp``: serves one model until standard input ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

from perijove_platform.engines.config import EngineConfig, EngineReady, failed_report
from perijove_platform.engines.gguf_header import GgufError, read_header
from perijove_platform.engines.llamacpp.parameters import common_params, context_length


def _report(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _wait_for_end_of_input() -> None:
    """Returns when the platform has closed the pipe or died."""
    while os.read(sys.stdin.fileno(), 4096):
        pass


def _kill_own_group() -> None:
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _end_with_platform() -> None:
    """While the model loads, nobody else looks at standard input."""
    _wait_for_end_of_input()
    _kill_own_group()


def main() -> int:
    config = EngineConfig.from_json(json.loads(sys.stdin.buffer.readline()))
    lifeline = threading.Thread(target=_end_with_platform, daemon=True)
    lifeline.start()
    try:
        header = read_header(config.model_path)
    except (GgufError, OSError) as error:
        _report(failed_report(str(error)))
        return 2
    import xllamacpp

    try:
        server = xllamacpp.Server(common_params(config, header.model_metadata()))
    except (RuntimeError, MemoryError):
        return 3  # the reason is in the log, which an orderly exit writes to its end and the parent explains
    ready = EngineReady(base_url=server.listening_address, context_length=context_length(config, header.context_length))
    _report(ready.to_json())
    lifeline.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
