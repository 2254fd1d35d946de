"""Whether a job's files can be trained on."""

from perijove_platform.errors import BadRequest, NotFound
from perijove_platform.fine_tuning.sources import TrainingFile, TrainingFiles
from perijove_platform.fine_tuning.submission import TRAINING_INPUT, VALIDATION_INPUT
from perijove_platform.rbac import Caller

_SHOWN_ERRORS = 5


async def checked_inputs(
    files: TrainingFiles, caller: Caller, training_file: str, validation_file: str | None
) -> dict[str, str]:
    """The files' object-store keys by their place in the working folder. Large files take a while.

    Raises:
        BadRequest: a file is not there, is for something else, or has lines that cannot be used (the first are named).
    """
    inputs = {TRAINING_INPUT: (await _checked(files, caller, training_file, "training_file")).key}
    if validation_file is not None:
        inputs[VALIDATION_INPUT] = (await _checked(files, caller, validation_file, "validation_file")).key
    return inputs


async def _checked(files: TrainingFiles, caller: Caller, file_id: str, param: str) -> TrainingFile:
    try:
        file = await files.training_file(caller, file_id)
    except NotFound as error:
        raise BadRequest(error.message, param=param, code="file_not_found") from error
    if file.purpose != "fine-tune":
        message = f"File '{file_id}' has the purpose '{file.purpose}'. Upload it with the purpose 'fine-tune'."
        raise BadRequest(message, param=param, code="invalid_purpose")
    if file.errors:
        shown = "; ".join(f"line {error.line}: {error.message.rstrip('.')}" for error in file.errors[:_SHOWN_ERRORS])
        more = f" (and {len(file.errors) - _SHOWN_ERRORS} more)" if len(file.errors) > _SHOWN_ERRORS else ""
        message = f"File '{file_id}' cannot be used for training. {shown}{more}."
        raise BadRequest(message, param=param, code="invalid_training_file")
    if file.examples == 0:
        raise BadRequest(f"File '{file_id}' has no examples.", param=param, code="invalid_training_file")
    return file
