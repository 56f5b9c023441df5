"""Attempts to log in, counted by address and by name with the exact logs of the throttle classes."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator

from django.conf import settings
from django.utils.crypto import salted_hmac

from limits.conf import setting
from limits.domain.limit import SECOND
from limits.domain.rate import Rate, parse_rate
from limits.forking import renewed_when_forked
from limits.store.connection import hot_connections
from limits.store.deadline import Deadline
from limits.store.errors import StoreError
from limits.store.keys import Keys
from limits.store.rate_log import RateLog

LOGINS = "login"
"""The name under which the logs of logins are kept, as a project's are under its own."""

MAX_LOCAL_LOGS = 10_000


class LocalLogs:
    """Takes the place of the store while it is unavailable: counts in this process. Safe for threads."""

    def __init__(self, size: int = MAX_LOCAL_LOGS) -> None:
        self._size = size
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._logs: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, name: str, rate: Rate) -> float | None:
        """None: admitted, and logged. Otherwise seconds until the next one is."""
        now = time.monotonic()
        with self._lock:
            log = self._logs.setdefault(name, deque())
            self._logs.move_to_end(name)
            if len(self._logs) > self._size:
                self._logs.popitem(last=False)
            while log and log[0] <= now - rate.window:
                log.popleft()
            if len(log) >= rate.quota:
                return log[0] + rate.window - now if log else float(rate.window)
            log.append(now)
        return None


local_logs = LocalLogs()


def wait_for(address: str, name: str) -> float | None:
    """None: this attempt may go on, and counts. Otherwise seconds until another one may.

    The address comes first: one that is over its rate uses up nothing of the name's, which belongs
    to somebody else.
    """
    waits = (_wait(log, parse_rate(settings.LOGIN_RATES[kind])) for kind, log in _logs(address, name))
    return next((wait for wait in waits if wait is not None), None)


def _logs(address: str, name: str) -> Iterator[tuple[str, str]]:
    """Kind → name of the log; a digest, since people type passwords into the wrong field."""
    yield "address", f"address:{_digest(address)}"
    yield "name", f"name:{_digest(name.strip().casefold())}"


def _digest(text: str) -> str:
    return salted_hmac(__name__, text.encode(errors="surrogatepass"), algorithm="sha256").hexdigest()


def _wait(log: str, rate: Rate) -> float | None:
    store = RateLog(hot_connections(None), Keys(setting("NAMESPACE")), LOGINS)
    try:
        admission = store.admit(log, rate, Deadline(setting("CHECK_DEADLINE")))
    except StoreError:
        return local_logs.wait(log, rate)
    if admission.admitted:
        return None
    blocking = admission.now if admission.blocking is None else admission.blocking
    return (blocking + rate.window * SECOND - admission.now) / SECOND
