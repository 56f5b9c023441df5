"""Log lines about what every request may run into: one a minute, and not one a request."""

import logging
import threading
import time

from limits.forking import renewed_when_forked

MINUTE = 60.0
HOUR = 3_600.0


class SeldomLog:
    """Warns at most once in ``interval`` seconds. Safe for threads."""

    def __init__(self, logger: logging.Logger, interval: float = MINUTE) -> None:
        self._logger = logger
        self._interval = interval
        self._silent_until = float("-inf")
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    def warning(self, message: str, *arguments: object) -> None:
        """Logs it, unless something was logged here within the interval."""
        with self._lock:
            now = time.monotonic()
            if now < self._silent_until:
                return
            self._silent_until = now + self._interval
        self._logger.warning(message, *arguments)
