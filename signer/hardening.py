"""Keep the keys in this process: no core dump, no debugger of the same user, no swap of what is locked."""

import contextlib
import ctypes
import resource

PR_SET_DUMPABLE = 4


def protect_memory() -> list[str]:
    """Switch off what would let key bytes out of the process; returns what could be done, for the log."""
    done = []
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done.append("no_core_dump")
    with contextlib.suppress(OSError, AttributeError):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
            done.append("not_dumpable")  # also closes /proc/<pid>/mem and environ to processes of the same user
    return done
