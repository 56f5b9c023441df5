"""Waiting for an event that only a look can tell of."""

import time
from collections.abc import Callable

TIMEOUT = 60.0
LOOK_EVERY = 0.05


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns as soon as ``is_so``; fails where that takes too long."""
    end = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < end, "It never came to that."
        time.sleep(LOOK_EVERY)
