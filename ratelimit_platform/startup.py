"""Preparation of a process of web or of the gateway before the first request."""

import gc
import os
import resource
import time
from collections.abc import Callable
from typing import TypeVar

from limits.monitoring.prometheus_folder import prepare_folder
from ratelimit_enforcer.engine import StoreError, get_engine
from ratelimit_platform import tracing
from ratelimit_platform.environment import DATA_DIR

Application = TypeVar("Application")


def prepared(create: Callable[[], Application], process: str) -> Application:
    """The application that ``create`` returns after it has set up Django; the process then has its metrics and, if the
    store answers in time, the rules. ``process``: what it is called in traces."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")
    raise_file_limit()
    prepare_folder(DATA_DIR / "metrics")
    application = create()
    # Imported late: this needs the complete application, and prometheus-client needs the folder.
    from limits.monitoring.prometheus import start_collecting

    start_collecting()
    if tracing.is_configured():
        tracing.start(process)
    warm_up()
    freeze()
    return application


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
