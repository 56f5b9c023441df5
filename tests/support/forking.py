"""Assertions in a forked child."""

import os
import warnings
from collections.abc import Callable


def holds_in_child(test: Callable[[], bool]) -> bool:
    """Whether ``test`` returns True in a forked child of this process, without the parent's threads."""
    with warnings.catch_warnings():
        # Since 3.12 Python warns that locks of threads may be held in the child, which is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if test() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
