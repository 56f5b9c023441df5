"""Log lines about what every request may run into: one a minute, and not one a request."""

import logging
import threading
import time

MINUTE = 60.0


class SeldomLog:
    """Warns at most once in ``interval`` seconds. Safe for threads."""

    def __init__(self, logger: logging.Logger, interval: float = MINUTE) -> None:
        self._logger = logger
        self._interval = interval
        self._lock = threading.Lock()
        self._silent_until = float("-inf")

    def warning(self, message: str, *arguments: object) -> None:
        """Logs it, unless something was logged here within the interval."""
        with self._lock:
            now = time.monotonic()
            if now < self._silent_until:
                return
            self._silent_until = now + self._interval
        self._logger.warning(message, *arguments)
