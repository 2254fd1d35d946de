"""``python -m perijove_platform.trainer WORK_FOLDER CACHE_FOLDER``: run the fine-tune of ``WORK_FOLDER/config.json``.

Exit status: 0 after a ``result`` report, 1 after an ``error`` report, 3 when whoever started it has gone, 4 when it was
asked to stop and has written a checkpoint.
"""

import errno
import os
import sys
import traceback
from pathlib import Path

from perijove_platform.trainer.config import TrainerConfig
from perijove_platform.trainer.errors import TrainingError
from perijove_platform.trainer.lifeline import end_with_parent
from perijove_platform.trainer.report import Reporter


def main(arguments: list[str]) -> int:
    reporter = Reporter()
    stop = end_with_parent()
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TQDM_DISABLE="1")
    work, cache = (Path(argument) for argument in arguments)
    try:
        config = TrainerConfig.read(work / "config.json")
        from perijove_platform.trainer import training

        complete = training.run(config, work, cache, reporter, stop)
    except Exception as error:
        traceback.print_exc()
        reported = describe(error)
        reporter.send("error", code=reported.code, message=str(reported), param=reported.param)
        return 1
    return 0 if complete else 4


def describe(error: Exception) -> TrainingError:
    """Any failure as one that says what can be done."""
    if isinstance(error, TrainingError):
        return error
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        message = "The training ran out of memory. Try a smaller batch_size, shorter examples or a smaller base model."
        return TrainingError(message, code="out_of_memory", param="hyperparameters.batch_size")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TrainingError("The disk is full. Free some space and start the job again.", code="no_space")
    if isinstance(error, ImportError):
        message = f"The training stack cannot be loaded ({error}). Delete its folder in the cache and try again."
        return TrainingError(message, code="trainer_environment")
    return TrainingError(f"The training failed: {type(error).__name__}: {error}", code="training_failed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
