"""How many files and connections a process may have open: both ends of a tunnel serve thousands of streams."""

import contextlib
import resource

MOST = 65536
"""More is not asked for: programs that this one starts have the same limit, and some go through all that it allows."""
_MOST_OF_MACOS = 10240
"""Which refuses more than its kernel's own limit, whatever the hard limit says."""


def raise_descriptor_limit() -> None:
    """Raise the process's soft limit of open files to the hard one, or to `MOST`; it is never lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (MOST, _MOST_OF_MACOS):
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return
