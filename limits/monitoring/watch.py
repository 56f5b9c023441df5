"""Telling people that the store is away.

Tasks travel through a broker, which is the same Redis as a rule: where that is away, none comes. So
each worker looks by itself whether the store answers, and where it does not, evaluates the rules
about the platform and sends what is due, with the database alone.
"""

import threading
from collections.abc import Callable

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from limits.conf import setting
from limits.domain.words import Channel
from limits.monitoring import alerts, delivery
from limits.store.connection import patient_client
from limits.store.errors import StoreError
from limits.store.keys import Keys
from limits.store.rules import RulesetWriter

log = structlog.get_logger(__name__)

LOOK_EVERY = 10.0
"""Seconds."""


class StoreWatch:
    """A thread of a worker's main process."""

    def __init__(self, look_every: float = LOOK_EVERY) -> None:
        self._look_every = look_every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets it end after what it is doing."""
        self._stop.set()

    def join(self) -> None:
        """Waits until it has ended."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._look_every):
            _guarded(look)
        connection.close()


def look() -> bool:
    """Looks once, and does what tasks cannot. Returns whether the store was there."""
    try:
        RulesetWriter(patient_client(), Keys(setting("NAMESPACE"))).pointer()
    except StoreError:
        alerts.evaluate_platform()
        for channel in Channel:
            delivery.send_due(channel)
        return False
    return True


def _guarded(work: Callable[[], object]) -> None:
    """Whatever goes wrong, the thread looks again: without it, nobody is told of an outage. An
    unavailable database is expected; other errors are logged with their traceback."""
    try:
        close_old_connections()
        work()
    except (DatabaseError, InterfaceError) as error:
        log.warning("store_watch_failed", error=type(error).__name__)
    except Exception:
        log.exception("store_watch_failed")
