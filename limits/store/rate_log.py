"""Logs of admitted requests, one for each caller and rate: what the framework keeps as a list in a
cache and reads before it writes, here in one script call."""

from functools import cache
from typing import NamedTuple

from limits.domain.limit import SECOND
from limits.domain.rate import Rate
from limits.store import damage, scripts
from limits.store.connection import HotConnections
from limits.store.deadline import Deadline
from limits.store.errors import StoreDataError
from limits.store.keys import Keys

_SERVERS_CLOCK = "local clock = redis.call('TIME')\n"
_CALLERS_CLOCK = "local clock = {tonumber(ARGV[3]), tonumber(ARGV[4])}\n"


class Admission(NamedTuple):
    """What the log said. ``entries``: those in the window, this request included where it was
    admitted. ``oldest``: the time of the oldest of them; None: no entry. ``blocking``: the time of
    the entry whose expiry ends a denial; None: admitted, or a quota of 0. Times in microseconds of
    the clock that was asked."""

    admitted: bool
    entries: int
    oldest: int | None
    blocking: int | None
    now: int


class RateLog:
    """Admits requests by rates. Safe for threads."""

    def __init__(self, connections: HotConnections, keys: Keys, project: str) -> None:
        """``project``: whose logs these are; several projects may share a store."""
        self._connections = connections
        self._keys = keys
        self._project = project

    def admit(self, name: str, rate: Rate, deadline: Deadline, *, now: int | None = None) -> Admission:
        """Admits one request to the log of this ``name``, or denies it.

        The clock is the store's, unless the caller has one: then ``now``, in microseconds. Raises
        :class:`~limits.store.errors.StoreUnavailable`, and :class:`~limits.store.errors.StoreDataError`
        where the log is no list, for this once.
        """
        arguments = [rate.quota, rate.window * SECOND]
        if now is not None:
            arguments += divmod(now, SECOND)
        script, key = _script(now is not None), self._keys.rate_log(self._project, name)
        admitted, *figures = script.run(self._connections, [key], arguments, deadline)
        if not figures:
            damage.note(damage.RATE_LOG)
            raise StoreDataError(damage.RATE_LOG, "The log of a throttle class is damaged.")
        return Admission(admitted == 1, *figures)


@cache
def _script(brings_clock: bool) -> scripts.Script:
    script = scripts.load("admit_by_rate")
    return scripts.Script(script.source.replace(_SERVERS_CLOCK, _CALLERS_CLOCK, 1)) if brings_clock else script
