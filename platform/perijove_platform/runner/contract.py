"""What the runner and the platform agree on; the platform imports this, too.

How a run ends is told by its exit status, so that a Job's ``podFailurePolicy`` can tell the cases apart:

====== ================= ================ ====================================================================
status name              what follows     meaning
====== ================= ================ ====================================================================
0      succeeded         –                the results are stored and everything has been reported
64     bad_config        FailJob          the mounted Secret cannot be used
65     input             FailJob          an input is not there, or is not what was promised
66     failed            FailJob          the program reported an error
67     out_of_memory     FailJob          the program was killed because the container's memory ran out
68     crashed           FailJob          the program died without an error, also after it had been started again
69     ended             FailJob          the platform has ended the job (cancelled, deleted)
70     internal          counts           the runner failed; a fault of ours
75     away              counts           platform or object store were away too long, or the disk is full
76     superseded        Ignore           another pod runs this job now
77     stopped           Ignore           stopped by SIGTERM (eviction, pause); a new pod goes on
137    –                 FailJob          the kernel killed the runner itself: see the pod's reason ``OOMKilled``
143    –                 Ignore           SIGTERM before the runner could take notice
====== ================= ================ ====================================================================

A pod with the condition ``DisruptionTarget`` is ignored whatever its status, so that rule comes first. The container's
termination message is JSON: ``{"exit", "message", "memory_limit_bytes", "memory_peak_bytes"}``; memory figures are
kept up to date while the program runs, for whoever has to explain status 137.
"""

from enum import IntEnum

SECRET_FOLDER = "/var/run/perijove"  # noqa: S105
"""Where the Secret's files are mounted, read-only."""
WORK_FOLDER = "/work"
"""An emptyDir: everything that the runner and the program write lies here."""
TERMINATION_MESSAGE = "/dev/termination-log"

RUN_FILE = "run.json"
"""``{"job_id", "platform_url", "program", "config", "grace_seconds"}``."""
TOKEN_FILE = "token"  # noqa: S105
CA_FILE = "ca.crt"
"""Certificates (PEM) that have signed those of the platform and of the object store, where the public ones have not."""

GRACE_SECONDS = 60
"""The pod's terminationGracePeriodSeconds: for a last checkpoint and its upload."""

BASE_MODEL = "inputs/base.gguf"
"""Where the base model is placed in the working folder."""
MAX_REPORTS = 200
"""In one request."""
MAX_REPORT_BYTES = 64 * 1024
MAX_REQUEST_BYTES = 1024 * 1024
MAX_OBJECT_BYTES = 5 * 1024**3
"""What S3 takes in one PUT."""


class ExitCode(IntEnum):
    """See the table above."""

    SUCCEEDED = 0
    BAD_CONFIG = 64
    INPUT = 65
    FAILED = 66
    OUT_OF_MEMORY = 67
    CRASHED = 68
    ENDED = 69
    INTERNAL = 70
    AWAY = 75
    SUPERSEDED = 76
    STOPPED = 77


FAIL_JOB = (
    ExitCode.BAD_CONFIG,
    ExitCode.INPUT,
    ExitCode.FAILED,
    ExitCode.OUT_OF_MEMORY,
    ExitCode.CRASHED,
    ExitCode.ENDED,
)
"""For ``podFailurePolicy``: trying again cannot help."""
IGNORE = (ExitCode.SUPERSEDED, ExitCode.STOPPED)
"""For ``podFailurePolicy``: no fault of the job's."""
