"""Logs of admitted requests, one for each caller and rate. The framework stores them as lists in a cache and
reads before it writes; here, both are one script call."""

from typing import NamedTuple

from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.rate import Rate
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreDataError
from ratelimit_enforcer.store.keys import Keys

_CALLERS_CLOCK = "local clock = {tonumber(ARGV[3]), tonumber(ARGV[4])}"


class Admission(NamedTuple):
    """The log's answer. ``entries``: those in the window, including this request if it was admitted.
    ``oldest``: the time of the oldest entry; None: no entry. ``blocking``: the time of the entry whose
    expiry ends a denial; None: admitted, or a quota of 0. ``oldest``, ``blocking`` and ``now`` are in
    microseconds of the clock that was used."""

    admitted: bool
    entries: int
    oldest: int | None
    blocking: int | None
    now: int


class RateLog:
    """Admits requests by rates. Thread-safe."""

    def __init__(self, connections: StoreConnections, keys: Keys, project: str) -> None:
        """``project``: the owner of the logs; several projects may share a store."""
        self._connections = connections
        self._keys = keys
        self._project = project

    def admit(self, name: str, rate: Rate, deadline: Deadline, *, now: int | None = None) -> Admission:
        """Admits one request to the log of this ``name``, or denies it.

        The clock is the store's, unless ``now`` is given (in microseconds). Raises
        :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`, and
        :class:`~ratelimit_enforcer.store.errors.StoreDataError` once if the log is damaged.
        """
        arguments = [rate.quota, rate.window * SECOND_US]
        if now is not None:
            arguments += divmod(now, SECOND_US)
        script = scripts.load("admit_by_rate") if now is None else scripts.load("admit_by_rate", clock=_CALLERS_CLOCK)
        key = self._keys.rate_log(self._project, name)
        admitted, *figures = script.run(self._connections, [key], arguments, deadline)
        if not figures:
            damage.record(damage.RATE_LOG)
            raise StoreDataError(damage.RATE_LOG, "The log of a throttle class is damaged.")
        return Admission(admitted == 1, *figures)
