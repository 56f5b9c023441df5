"""The sliding window: no window of its length, wherever it starts, holds more than the quota.

A counter is a list of runs ``(time of the last request, cost)``. Up to 64 runs, every request has
a run of its own and leaves the count when it is exactly one window old. Beyond that, requests in
the same 64th of the window (aligned to the Unix epoch) share a run, whose time is that of its
last request: they leave the count up to 1/64 of the window late, and never early. So a counter
has at most 130 runs, whatever the quota.

This is the reference for ``store/lua/decide.lua``; the same vectors run through both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from limits.domain.limit import Limit

EXACT_RUNS = 64
CELLS = 64
NEVER = -1
"""A wait that no amount of time ends."""


@dataclass(frozen=True, slots=True)
class Run:
    """Cost that leaves the count together, one window after ``at`` (microseconds)."""

    at: int
    cost: int


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window counter as it stands at ``now`` (microseconds)."""

    runs: tuple[Run, ...] = ()
    now: int = 0

    @property
    def used(self) -> int:
        return sum(run.cost for run in self.runs)

    @property
    def last_at(self) -> int:
        """The time of the last request; a little ahead of the clock at most."""
        return self.runs[-1].at if self.runs else 0


def corrected(window: Window, limit: Limit, now: int) -> Window:
    """The counter without what a wrong clock noted of the future: that was ``now`` at the latest."""
    if window.last_at - now <= limit.skew:
        return window
    cell = limit.window_us // CELLS
    # Where there are many runs, no jumping clock makes more of them.
    shares = len(window.runs) >= EXACT_RUNS
    later = [run for run in window.runs if run.at > now or (shares and run.at // cell == now // cell)]
    earlier = window.runs[: len(window.runs) - len(later)]
    return replace(window, runs=(*earlier, Run(now, sum(run.cost for run in later))))


def advance(window: Window, limit: Limit, now: int) -> Window:
    """The counter at ``now``, without what is one window old or older."""
    return Window(tuple(run for run in window.runs if run.at + limit.window_us > now), now)


def admits(window: Window, limit: Limit, cost: int) -> bool:
    return window.used + cost <= limit.quota


def consume(window: Window, limit: Limit, cost: int) -> Window:
    """The counter after an admitted request. Its runs stay in order, also where the clock is a little
    behind the last one."""
    cell = limit.window_us // CELLS
    runs, at = window.runs, max(window.now, window.last_at)
    shares_last_run = len(runs) >= EXACT_RUNS and runs[-1].at // cell == at // cell
    if shares_last_run:
        cost += runs[-1].cost
        runs = runs[:-1]
    return replace(window, runs=(*runs, Run(at, cost)))


def figures(window: Window, limit: Limit, cost: int, admitted: bool) -> tuple[int, int, int, int]:
    """(used, wait for the next capacity, wait until unused, wait until ``cost`` is admitted; where it is
    admitted, how far the last run is ahead of the clock).

    Waits are in microseconds; 0: none is needed; ``NEVER``: waiting cannot help.
    """
    used = window.used
    ahead = max(0, window.last_at - window.now)
    retry = ahead if admitted else wait_for(window, limit, used + cost - limit.quota)
    reset = window.last_at + limit.window_us - window.now if window.runs else 0
    next_capacity = wait_for(window, limit, max(1, used - limit.quota + 1))
    return used, next_capacity, reset, retry


def wait_for(window: Window, limit: Limit, need: int) -> int:
    """How long until at least ``need`` of the cost has left the count (microseconds)."""
    if need <= 0:
        return 0
    for freed, run in _freed(window):
        if freed >= need:
            return run.at + limit.window_us - window.now
    return NEVER


def _freed(window: Window) -> Iterator[tuple[int, Run]]:
    freed = 0
    for run in window.runs:
        freed += run.cost
        yield freed, run
