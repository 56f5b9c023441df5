"""Holding the rules before the first request comes."""

import gc
import time

from limits.enforcement import StoreError, get_engine

PATIENCE = 2.0
"""Seconds that a starting process waits for the store, at most."""

PAUSE = 0.05


def warm_up(patience: float = PATIENCE) -> bool:
    """Finds the store and reads the rules, for which the deadline of a first check is short. Returns
    whether it could; a process that could not goes on, and tries with each request."""
    end = time.monotonic() + patience
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
    """Takes what lives as long as the process out of the garbage collector's sight.

    A full collection goes through every object and stops every thread of the process meanwhile: about
    100 ms with Django, the rules and their libraries loaded, of which a check's deadline cannot tell.
    """
    gc.collect()
    gc.freeze()
