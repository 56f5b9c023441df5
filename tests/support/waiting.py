"""Waiting for a condition by polling."""

import time
from collections.abc import Callable

TIMEOUT = 60.0
LOOK_EVERY = 0.05


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns as soon as ``is_so()`` is true; fails after ``TIMEOUT`` seconds."""
    end = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < end, "It never came to that."
        time.sleep(LOOK_EVERY)
