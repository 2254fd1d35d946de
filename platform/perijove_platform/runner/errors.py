"""How a run can end before its program does. The text is for a person, and holds no address and no token."""

from perijove_platform.runner.contract import ExitCode


class RunEnded(Exception):
    """Ends the run with the exit status `code`.

    Attributes:
        reported: as what kind of error the platform is told, or ``None`` when it knows already or need not.
    """

    code = ExitCode.INTERNAL
    reported: str | None = None


class BadConfig(RunEnded):
    code = ExitCode.BAD_CONFIG


class InputFailed(RunEnded):
    code = ExitCode.INPUT
    reported = "input"


class Ended(RunEnded):
    """The platform takes this job's token no more."""

    code = ExitCode.ENDED


class Superseded(RunEnded):
    code = ExitCode.SUPERSEDED


class GaveUp(RunEnded):
    code = ExitCode.AWAY
    reported = "away"


class Stopped(RunEnded):
    """SIGTERM."""

    code = ExitCode.STOPPED


class Away(Exception):
    """The other end cannot be reached or has a failure of its own: worth another try."""


class Stale(Exception):
    """A signed address is not taken (any more): worth a try with a fresh one."""


class Rejected(Exception):
    """The platform will never take this request."""


class ReportGap(Exception):
    """The platform has lost reports that it had received."""
