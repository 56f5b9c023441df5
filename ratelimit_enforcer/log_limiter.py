"""Logging of problems that every request may run into: one line per interval, not one per request."""

import logging
import threading
import time
from collections import defaultdict

from ratelimit_enforcer.per_process import renew_after_fork

MINUTE_SECONDS = 60.0
HOUR_SECONDS = 3_600.0


class LogInterval:
    """Admits one line for each name in ``interval`` seconds. Thread-safe."""

    def __init__(self, interval: float = MINUTE_SECONDS) -> None:
        self._interval = interval
        self._silent_until: dict[str, float] = defaultdict(lambda: float("-inf"))
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def is_over(self, name: str = "") -> bool:
        """Whether a line with this name may be written now; if so, the next interval begins."""
        with self._lock:
            now = time.monotonic()
            if now < self._silent_until[name]:
                return False
            self._silent_until[name] = now + self._interval
        return True


class RateLimitedLog:
    """Warns at most once in ``interval`` seconds. Thread-safe."""

    def __init__(self, logger: logging.Logger, interval: float = MINUTE_SECONDS) -> None:
        self._logger = logger
        self._interval = LogInterval(interval)

    def warning(self, message: str, *arguments: object) -> None:
        """Logs the message, unless this object logged one within the interval."""
        if self._interval.is_over():
            self._logger.warning(message, *arguments)
