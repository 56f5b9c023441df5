"""The sliding window: no interval of its length, wherever it starts, admits more than the quota.

A counter is a list of runs ``(time of the last request, cost)``. Up to 64 runs, every request has
a separate run and expires when it is exactly one window old. Beyond that, requests in
the same 64th of the window (aligned to the Unix epoch) share a run, whose time is that of its
last request: they expire up to 1/64 of the window late, and never early. So a counter
has at most 130 runs, regardless of the quota.

This is the reference for ``store/scripts/decide.lua``; the same vectors run through both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ratelimit_enforcer.domain.limit import MAX_DEBT, Limit

EXACT_RUNS = 64
CELLS = 64
NEVER = -1
"""The wait if waiting cannot help."""


@dataclass(frozen=True, slots=True)
class Run:
    """Cost that expires together, one window after ``at`` (microseconds since 1970)."""

    at: int
    cost: int


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """A sliding window counter at ``now`` (microseconds since 1970)."""

    runs: tuple[Run, ...] = ()
    now: int = 0

    @property
    def used(self) -> int:
        """The total cost of all runs."""
        return sum(run.cost for run in self.runs)

    @property
    def last_at(self) -> int:
        """The time of the last request; at most slightly ahead of the clock."""
        return self.runs[-1].at if self.runs else 0


def corrected(window: SlidingWindow, limit: Limit, now: int) -> SlidingWindow:
    """The counter, with every request that a wrong clock recorded in the future moved to ``now``."""
    if window.last_at - now <= limit.skew:
        return window
    cell = limit.window_us // CELLS
    # With many runs, a clock that jumps must not add more.
    shares = len(window.runs) >= EXACT_RUNS
    later = [run for run in window.runs if run.at > now or (shares and run.at // cell == now // cell)]
    earlier = window.runs[: len(window.runs) - len(later)]
    return replace(window, runs=(*earlier, Run(now, sum(run.cost for run in later))))


def advance(window: SlidingWindow, limit: Limit, now: int) -> SlidingWindow:
    """The counter at ``now``, without runs that are one window old or older."""
    return SlidingWindow(tuple(run for run in window.runs if run.at + limit.window_us > now), now)


def admits(window: SlidingWindow, limit: Limit, cost: int) -> bool:
    """Whether the limit admits a request of this cost; ``window`` must be at the present time (:func:`advance`)."""
    return window.used + cost <= limit.quota


def consume(window: SlidingWindow, limit: Limit, cost: int) -> SlidingWindow:
    """The counter after an admitted request. The runs stay in order even if the clock is slightly behind
    the last one."""
    cell = limit.window_us // CELLS
    runs, at = window.runs, max(window.now, window.last_at)
    if runs and runs[-1].cost == 0:
        runs = runs[:-1]
    is_full = len(runs) >= EXACT_RUNS
    if runs and (runs[-1].at == at or (is_full and runs[-1].at // cell == at // cell)):
        cost += runs[-1].cost
        runs = runs[:-1]
    return replace(window, runs=(*runs, Run(at, cost)))


def last_run_at(window: SlidingWindow) -> int:
    """The time by which :func:`refund` finds the request that was admitted last."""
    return window.runs[-1].at


def refund(window: SlidingWindow, limit: Limit, cost: int, at: int) -> SlidingWindow:
    """The counter as if the request at ``at`` had cost ``cost`` less. ``window`` must be at the present time
    (:func:`advance`). The request is in the first run that is not older; nothing is refunded if it has expired."""
    if max(window.now, window.last_at) >= at + limit.window_us:
        return window
    cell = limit.window_us // CELLS
    found = next((index for index, run in enumerate(window.runs) if run.at >= at), None)
    if found is None or window.runs[found].at > at + cell:
        return window
    run = window.runs[found]
    shrunk = replace(run, cost=max(0, run.cost - cost))
    # The last run has the counter's time, so it remains.
    is_kept = shrunk.cost > 0 or found == len(window.runs) - 1
    return replace(window, runs=window.runs[:found] + ((shrunk,) if is_kept else ()) + window.runs[found + 1 :])


def refund_newest(window: SlidingWindow, cost: int) -> tuple[SlidingWindow, int]:
    """The counter after a refund of up to ``cost``, from the newest run backwards, and the cost refunded. ``window``
    must be at the present time (:func:`advance`)."""
    runs, left = list[Run](), cost
    for index in reversed(range(len(window.runs))):
        run = window.runs[index]
        refunded = min(left, run.cost)
        # The last run has the counter's time, so it remains.
        if refunded < run.cost or index == len(window.runs) - 1:
            runs.append(replace(run, cost=run.cost - refunded))
        left -= refunded
    return replace(window, runs=tuple(reversed(runs))), cost - left


def debit(window: SlidingWindow, limit: Limit, cost: int) -> tuple[SlidingWindow, int]:
    """The counter after consuming ``cost``, beyond the quota if necessary, and the excess over the quota. The excess is
    at most :data:`~ratelimit_enforcer.domain.limit.MAX_DEBT`. ``window`` must be at the present time
    (:func:`advance`)."""
    debited = min(cost, max(0, limit.quota + MAX_DEBT - window.used))
    after = consume(window, limit, debited) if debited else window
    return after, max(0, after.used - limit.quota)


def figures(window: SlidingWindow, limit: Limit, cost: int, admitted: bool) -> tuple[int, int, int, int]:
    """(used, wait for the next capacity, wait until unused, wait until ``cost`` is admitted). If the
    request is admitted, the last figure says instead how far the last run is ahead of the clock.

    All in microseconds, except ``used``; 0: no wait; ``NEVER``: waiting cannot help.
    """
    used = window.used
    ahead = max(0, window.last_at - window.now)
    retry = ahead if admitted else wait_for(window, limit, used + cost - limit.quota)
    reset = window.last_at + limit.window_us - window.now if used else 0
    next_capacity = wait_for(window, limit, max(1, used - limit.quota + 1))
    return used, next_capacity, reset, retry


def wait_for(window: SlidingWindow, limit: Limit, need: int) -> int:
    """The time until at least ``need`` of the cost has expired (microseconds); ``NEVER`` if too little is used."""
    if need <= 0:
        return 0
    for freed, run in _freed(window):
        if freed >= need:
            return run.at + limit.window_us - window.now
    return NEVER


def _freed(window: SlidingWindow) -> Iterator[tuple[int, Run]]:
    freed = 0
    for run in window.runs:
        freed += run.cost
        yield freed, run
