"""The circuit breaker of one process: while a server is known to be away, nobody waits for it.

(M. Nygard, “Release It!”, chapter 5.) The first failure opens it. A thread then tries the server,
one probe at a time, and closes it as soon as one goes through, whether requests come or not. Each
master of a Cluster has its own, so that one that is lost does not degrade the clients of the others.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable

from redis.exceptions import RedisError

from limits.forking import renewed_when_forked
from limits.store import observers
from limits.store.errors import StoreUnavailable

log = logging.getLogger(__name__)

PROBE_INTERVAL = 0.25
"""Seconds between two probes."""


class Outages:
    """What the breakers of one store say together. An outage begins when the first server is away,
    and ends when all are back. Safe for threads."""

    def __init__(self) -> None:
        renewed_when_forked(self)

    def renew(self) -> None:
        """Knows of no outage; also in a forked child, where no probe runs."""
        self._lock = threading.Lock()
        self._away = 0
        self.trips = 0
        """How many outages there were, the present one included."""

    @property
    def is_open(self) -> bool:
        """Whether a server is known to be away."""
        return self._away > 0

    def note_away(self) -> None:
        with self._lock:
            self.trips += self._away == 0
            self._away += 1

    def note_back(self) -> None:
        with self._lock:
            self._away -= 1


class Breaker:
    """Open while one server is known to be away. Safe for threads."""

    def __init__(
        self, probe: Callable[[], None], interval: float = PROBE_INTERVAL, outages: Outages | None = None
    ) -> None:
        """``probe`` returns where the server can serve, and raises :class:`StoreUnavailable` where
        it cannot."""
        self._probe = probe
        self.interval = interval
        self.outages = outages or Outages()
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self.is_open = False

    def trip(self, problem: str) -> bool:
        """Opens it, unless it is open. Returns whether it did."""
        with self._lock:
            if self.is_open:
                return False
            self.is_open = True
        self.outages.note_away()
        log.warning("store_away: %s", problem, extra={"event": "store_away", "error": problem})
        observers.observer.breaker_changed(is_open=True)
        self._opened_at = time.monotonic()
        threading.Thread(target=_watch, args=(weakref.ref(self),), name="store-probe", daemon=True).start()
        return True

    def probe(self) -> bool:
        """Tries the server once, and closes the breaker if it answers. Returns whether it did."""
        if not self._answers():
            return False
        seconds = round(time.monotonic() - self._opened_at, 3)
        log.warning("store_back: after %s s", seconds, extra={"event": "store_back", "seconds": seconds})
        with self._lock:
            self.is_open = False
        self.outages.note_back()
        observers.observer.breaker_changed(is_open=False)
        return True

    def _answers(self) -> bool:
        try:
            self._probe()
        except StoreUnavailable:
            return False
        except RedisError:
            # It answers, and something else is wrong: that is for a request to run into and to report.
            return True
        return True


def _watch(reference: "weakref.ref[Breaker]") -> None:
    """Probes until the server is back, or until nothing uses the breaker any more."""
    while (breaker := reference()) is not None and not breaker.probe():
        interval = breaker.interval
        del breaker
        time.sleep(interval)
