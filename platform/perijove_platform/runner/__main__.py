"""``python -m perijove_platform.runner [SECRET_FOLDER [WORK_FOLDER]]``: run one job to its end.

Its first process in a container; exit status and termination message: see `contract`.
"""

import sys
import traceback
from pathlib import Path

from perijove_platform.runner.contract import SECRET_FOLDER, TERMINATION_MESSAGE, WORK_FOLDER, ExitCode
from perijove_platform.runner.errors import RunEnded
from perijove_platform.runner.last_words import LastWords
from perijove_platform.runner.memory import ControlGroup
from perijove_platform.runner.run_config import RunConfig
from perijove_platform.runner.runner import Runner, say
from perijove_platform.runner.signals import Signals


def main(arguments: list[str]) -> int:
    secret, work = (Path(path) for path in [*arguments, *(SECRET_FOLDER, WORK_FOLDER)[len(arguments) :]])
    last_words = LastWords(Path(TERMINATION_MESSAGE))
    code: ExitCode
    try:
        signals = Signals()
        code, message = Runner(RunConfig.read(secret), work, last_words, signals).run()
    except RunEnded as error:
        code, message = error.code, str(error)
    except Exception as error:
        traceback.print_exc()
        code, message = ExitCode.INTERNAL, f"The runner failed: {type(error).__name__}."
    say(f"{code.name.lower()}: {message}")
    last_words.ended(code, message, ControlGroup().memory())
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
