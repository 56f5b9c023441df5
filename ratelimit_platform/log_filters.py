"""Lines that callers can cause at will."""

import logging
import threading
import time

from limits.forking import renewed_when_forked

MINUTE = 60.0
_SECURITY = "django.security."


class CallersErrors(logging.Filter):
    """Django logs a stack trace for requests that it refuses (too many fields, a body that cannot be parsed, …).
    That is an error of the caller: here it is one line without a trace, and of each ``django.security`` logger at
    most one line a minute."""

    def __init__(self) -> None:
        super().__init__()
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._silent_until: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name.startswith("django.") and 400 <= getattr(record, "status_code", 0) < 500:
            record.exc_info = record.exc_text = None
        return not record.name.startswith(_SECURITY) or self._is_due(record.name)

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now < self._silent_until.get(name, float("-inf")):
                return False
            self._silent_until[name] = now + MINUTE
        return True
