"""Preparation of a web process before the first request: raises the limit of open files, and loads the rules."""

import gc
import resource
import time

from ratelimit_enforcer.engine import StoreError, get_engine

MAX_OPEN_FILES = 65_536


def raise_file_limit() -> None:
    """Raises the soft limit towards the hard one. It is often 1,024; that many idle connections block a server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


WARM_UP_SECONDS = 2.0
"""Maximum time in seconds that a starting process waits for the store."""

PAUSE = 0.05


def warm_up(timeout: float = WARM_UP_SECONDS) -> bool:
    """Connects to the store and loads the rules, which may take longer than the deadline of a first check.
    ``timeout`` is in seconds. Returns whether it succeeded; otherwise, each request tries again."""
    end = time.monotonic() + timeout
    while True:
        try:
            get_engine().refresh()
        except StoreError:
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE)
        else:
            return True


def freeze() -> None:
    """Excludes objects that live as long as the process from garbage collection.

    A full collection visits every object and stops every thread of the process: for about 100 ms with Django,
    the rules and their libraries loaded, which the deadline of a check cannot account for.
    """
    gc.collect()
    gc.freeze()
