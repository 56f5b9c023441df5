"""Running a test in a forked child."""

import os
import warnings
from collections.abc import Callable


def holds_in_child(test: Callable[[], bool]) -> bool:
    """Whether ``test`` holds in a forked child of this process, with its threads left behind."""
    with warnings.catch_warnings():
        # From 3.12 on Python warns of threads, whose locks a child may find taken: that is the test.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if test() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
