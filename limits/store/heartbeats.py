"""Which processes enforce limits now, so that each knows its share when the store goes away."""

import secrets
from typing import NamedTuple

from limits.forking import renewed_when_forked
from limits.store import damage, scripts
from limits.store.connection import HotConnections
from limits.store.deadline import Deadline
from limits.store.errors import StoreDataError
from limits.store.keys import Keys

BEAT_SECONDS = 5
"""A process that decides says so this often."""

LIVE_SECONDS = 15
"""A process that has been silent for longer does not count any more."""


class Share(NamedTuple):
    """This process is number ``rank`` (from 0) of so many live ``processes``."""

    rank: int
    processes: int


ALONE = Share(0, 1)


class Heartbeats:
    """The heartbeats of one process."""

    def __init__(self, connections: HotConnections, keys: Keys) -> None:
        self._connections = connections
        self._key = keys.processes
        self._damaged = keys.damaged
        self._script = scripts.load("heartbeat")
        renewed_when_forked(self)

    def renew(self) -> None:
        self._process = secrets.token_hex(8)

    def beat(self, deadline: Deadline) -> Share:
        """Says that this process lives. Raises :class:`~limits.store.errors.StoreUnavailable`, and
        :class:`~limits.store.errors.StoreDataError` where the key held something else, for this once."""
        rank, *processes = self._script.run(self._connections, [self._key], [self._process, LIVE_SECONDS], deadline)
        if not processes:
            damage.note(damage.PROCESSES)
            raise StoreDataError(damage.PROCESSES, "The heartbeats of the processes are damaged.")
        return Share(rank, *processes)

    def report_damage(self, deadline: Deadline) -> None:
        """Tells the platform what damaged data this process met. Raises
        :class:`~limits.store.errors.StoreUnavailable`."""
        damage.report(
            lambda *command: self._connections.execute(*command, key=self._damaged, deadline=deadline), self._damaged
        )
