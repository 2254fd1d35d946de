"""Failures that the person who started the job can understand and act on."""


class TrainingError(Exception):
    """A failure with a message that says what to do.

    Args:
        message: for the job's ``error.message``.
        code: for ``error.code``.
        param: the field of the request at fault, if it is one.
    """

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
