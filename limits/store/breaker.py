"""The circuit breaker of one process: while the store is known to be away, nobody waits for it.

(M. Nygard, “Release It!”, chapter 5.) The first failure opens it. A thread then tries the store,
one probe at a time, and closes it as soon as one goes through, whether requests come or not.
"""

import logging
import threading
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from limits.store.errors import StoreUnavailable

log = logging.getLogger(__name__)

PROBE_INTERVAL = 0.25
"""Seconds between two probes."""


class Breaker:
    """Open while the store is known to be away. Safe for threads."""

    def __init__(self, probe: Callable[[], None], interval: float = PROBE_INTERVAL) -> None:
        """``probe`` returns where the store can serve, and raises :class:`StoreUnavailable` where
        it cannot."""
        self._probe = probe
        self._interval = interval
        self._lock = threading.Lock()
        self.is_open = False
        self.trips = 0
        """How many times it has opened: each is another outage."""

    def trip(self, problem: str) -> None:
        """Opens it, unless it is open."""
        with self._lock:
            if self.is_open:
                return
            self.is_open = True
            self.trips += 1
        log.warning("store_away: %s", problem, extra={"event": "store_away", "error": problem})
        threading.Thread(target=self._watch, name="store-probe", daemon=True).start()

    def _watch(self) -> None:
        began = time.monotonic()
        while not self._answers():
            time.sleep(self._interval)
        seconds = round(time.monotonic() - began, 3)
        log.warning("store_back: after %s s", seconds, extra={"event": "store_back", "seconds": seconds})
        with self._lock:
            self.is_open = False

    def _answers(self) -> bool:
        try:
            self._probe()
        except StoreUnavailable:
            return False
        except RedisError:
            # It answers, and something else is wrong: that is for a request to run into and to report.
            return True
        return True
