"""Heartbeats of the processes that enforce limits: each learns its share for the time without the store."""

import secrets
from typing import NamedTuple

from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreDataError
from ratelimit_enforcer.store.keys import Keys

BEAT_SECONDS = 5
"""Seconds between two heartbeats of a process that decides."""

LIVE_SECONDS = 15
"""Seconds without a heartbeat after which a process no longer counts."""


class Share(NamedTuple):
    """This process's ``rank`` (from 0) among the live ``processes``."""

    rank: int
    processes: int


ALONE = Share(0, 1)


class Heartbeats:
    """The heartbeats of one process."""

    def __init__(self, connections: StoreConnections, keys: Keys) -> None:
        self._connections = connections
        self._key = keys.processes
        self._damaged = keys.damaged
        self._script = scripts.load("heartbeat")
        renew_after_fork(self)

    def renew(self) -> None:
        self._process = secrets.token_hex(8)

    def beat(self, deadline: Deadline) -> Share:
        """Sends a heartbeat and returns this process's share. Raises
        :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`, and
        :class:`~ratelimit_enforcer.store.errors.StoreDataError` once if the key had another type."""
        rank, *processes = self._script.run(self._connections, [self._key], [self._process, LIVE_SECONDS], deadline)
        if not processes:
            damage.record(damage.PROCESSES)
            raise StoreDataError(damage.PROCESSES, "The heartbeats of the processes are damaged.")
        return Share(rank, *processes)

    def report_damage(self, deadline: Deadline) -> None:
        """Reports the damaged data that this process found. Raises
        :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
        damage.report(
            lambda *command: self._connections.execute(*command, key=self._damaged, deadline=deadline), self._damaged
        )
