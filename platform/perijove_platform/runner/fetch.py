"""``python -m perijove_platform.runner.fetch [SECRET_FOLDER [WORK_FOLDER]]``: bring a job's files to its folder.

The init container of a job whose own command knows nothing of the platform; exit status and termination message are
the runner's, see `contract`.
"""

import errno
import shutil
import sys
import traceback
from pathlib import Path

from perijove_platform.runner.contract import SECRET_FOLDER, TERMINATION_MESSAGE, WORK_FOLDER, ExitCode
from perijove_platform.runner.errors import RunEnded
from perijove_platform.runner.exchange import PlatformClient
from perijove_platform.runner.inputs import InputFiles
from perijove_platform.runner.last_words import LastWords
from perijove_platform.runner.memory import ControlGroup
from perijove_platform.runner.run_config import RunConfig
from perijove_platform.runner.runner import say
from perijove_platform.runner.signals import Signals


def main(arguments: list[str]) -> int:
    secret, work = (Path(path) for path in [*arguments, *(SECRET_FOLDER, WORK_FOLDER)[len(arguments) :]])
    code: ExitCode
    try:
        Signals()  # SIGTERM raises `Stopped`
        _fetch(RunConfig.read(secret), work)
        code, message = ExitCode.SUCCEEDED, "The files are in place."
    except RunEnded as error:
        code, message = error.code, str(error)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        code = ExitCode.AWAY if full else ExitCode.INTERNAL
        message = "The pod's disk is full." if full else f"The files cannot be fetched: {error.strerror or error}."
    except Exception as error:
        traceback.print_exc()
        code, message = ExitCode.INTERNAL, f"The files cannot be fetched: {type(error).__name__}."
    say(f"{code.name.lower()}: {message}")
    LastWords(Path(TERMINATION_MESSAGE)).ended(code, message, ControlGroup().memory())
    return int(code)


def _fetch(config: RunConfig, work: Path) -> None:
    """Nothing but the files stays in the working folder. Raises as `InputFiles.fetch`."""
    state = work / ".fetching"
    state.mkdir(parents=True, exist_ok=True)
    try:
        InputFiles(PlatformClient(config), work, state, say, say).fetch()
    finally:
        shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
