"""The guarantees of the sliding window, compared with a complete log of all admitted requests."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_enforcer.domain import sliding_window
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.sliding_window import NEVER, SlidingWindow

START = 1_800_000_000 * SECOND_US


@dataclass
class Alone:
    """A counter with one client, and a log of the admitted requests as (time, cost)."""

    limit: Limit
    now: int = START
    window: SlidingWindow = field(default_factory=SlidingWindow)
    admitted: list[tuple[int, int]] = field(default_factory=list)

    def ask(self, cost: int = 1) -> bool:
        self.window = sliding_window.corrected(self.window, self.limit, self.now)
        self.window = sliding_window.advance(self.window, self.limit, self.now)
        if not sliding_window.admits(self.window, self.limit, cost):
            return False
        self.window = sliding_window.consume(self.window, self.limit, cost)
        self.admitted.append((self.now, cost))
        return True

    def figures(self, cost: int = 1) -> tuple[int, int, int, int]:
        """(used, next capacity, reset, retry), by a peek."""
        window = sliding_window.advance(self.window, self.limit, self.now)
        return sliding_window.figures(window, self.limit, cost, sliding_window.admits(window, self.limit, cost))

    def in_window(self, *, late: int = 0) -> int:
        """The cost admitted within the last window, extended by ``late`` microseconds."""
        begin = self.now - self.limit.window_us - late
        return sum(cost for at, cost in self.admitted if at > begin)


waits = st.one_of(st.just(0), st.integers(0, 100_000), st.integers(0, 3 * SECOND_US), st.integers(0, 70 * SECOND_US))
steps = st.lists(st.tuples(waits, st.integers(1, 6)), max_size=250)
windows = st.sampled_from([1, 7, 60])
tried = settings(max_examples=150, deadline=None, derandomize=True)


@tried
@given(steps=steps, quota=st.integers(0, 100), seconds=windows)
def test_no_window_contains_more_than_the_quota(steps: list[tuple[int, int]], quota: int, seconds: int) -> None:
    alone = Alone(Limit(quota, seconds))
    for wait, cost in steps:
        alone.now += wait
        alone.ask(cost)
        # Windows that end at a request suffice: no other window contains more than one of these.
        assert alone.in_window() <= quota


@tried
@given(steps=steps, quota=st.integers(1, 100), seconds=windows)
def test_requests_expire_at_most_a_64th_of_the_window_late(
    steps: list[tuple[int, int]], quota: int, seconds: int
) -> None:
    alone = Alone(Limit(quota, seconds))
    late = -(-alone.limit.window_us // 64)
    for wait, cost in steps:
        alone.now += wait
        fits_for_sure = alone.in_window(late=late) + cost <= quota
        assert alone.ask(cost) or not fits_for_sure


@tried
@given(steps=steps, quota=st.integers(1, 30), seconds=windows, cost=st.integers(1, 30))
def test_the_reported_wait_is_sufficient_and_at_most_a_64th_too_long(
    steps: list[tuple[int, int]], quota: int, seconds: int, cost: int
) -> None:
    alone = Alone(Limit(quota, seconds))
    for wait, spent in steps:
        alone.now += wait
        alone.ask(spent)
    retry = alone.figures(cost)[3]
    if retry == NEVER:
        assert cost > quota
        return
    if retry > 0:
        # With so few requests each has a separate run, so the wait is exact.
        exact = len(alone.window.runs) < sliding_window.EXACT_RUNS
        alone.now += retry - (1 if exact else retry)
        assert alone.figures(cost)[3] > 0
        alone.now += 1 if exact else retry
    assert alone.ask(cost)


@tried
@given(steps=steps, quotas=st.lists(st.integers(0, 60), min_size=250, max_size=250))
def test_a_changed_quota_keeps_the_usage_in_the_window(steps: list[tuple[int, int]], quotas: list[int]) -> None:
    alone = Alone(Limit(quotas[0], 7))
    for (wait, cost), quota in zip(steps, quotas, strict=False):
        alone.now += wait
        alone.limit = Limit(quota, 7)
        before = alone.in_window()
        assert not alone.ask(cost) or before + cost <= quota


@tried
@given(steps=st.lists(st.tuples(st.integers(0, 2 * SECOND_US), st.integers(1, 9)), max_size=250))
def test_there_are_never_more_than_130_runs(steps: list[tuple[int, int]]) -> None:
    alone = Alone(Limit(10**9, 60))
    for wait, cost in steps:
        alone.now += wait
        assert alone.ask(cost)
        assert len(alone.window.runs) <= 130


def test_a_request_expires_when_it_is_exactly_one_window_old() -> None:
    alone = Alone(Limit(2, 60))
    assert [alone.ask(), alone.ask(), alone.ask()] == [True, True, False]
    alone.now += 60 * SECOND_US - 1
    assert not alone.ask()
    alone.now += 1
    assert alone.ask()


def test_the_figures_of_a_used_counter() -> None:
    alone = Alone(Limit(3, 60))
    alone.ask()
    alone.now += 10 * SECOND_US
    alone.ask(2)
    assert alone.figures() == (3, 50 * SECOND_US, 60 * SECOND_US, 50 * SECOND_US)
    assert alone.figures(2)[3] == 60 * SECOND_US
    assert alone.figures(4)[3] == NEVER


def test_the_figures_of_an_unused_counter() -> None:
    assert Alone(Limit(3, 60)).figures() == (0, NEVER, 0, 0)


def test_a_quota_of_zero_always_denies() -> None:
    assert Alone(Limit(0, 60)).figures() == (0, NEVER, 0, NEVER)


def test_a_clock_that_runs_backwards_keeps_the_usage() -> None:
    alone = Alone(Limit(1, 60))
    assert alone.ask()
    alone.now -= 3_600 * SECOND_US
    assert not alone.ask()
    assert alone.figures()[3] == 60 * SECOND_US


def test_after_a_reduced_quota_the_next_capacity_is_when_a_request_fits() -> None:
    alone = Alone(Limit(5, 60))
    for _ in range(5):
        alone.ask()
        alone.now += SECOND_US
    alone.limit = Limit(2, 60)
    used, next_capacity, reset, retry = alone.figures()
    assert (used, next_capacity, retry) == (5, 58 * SECOND_US, 58 * SECOND_US)
    assert reset == 59 * SECOND_US


def test_a_debit_goes_beyond_the_quota() -> None:
    limit = Limit(10, 60)
    used = sliding_window.consume(sliding_window.advance(SlidingWindow(), limit, 1), limit, 4)
    after, excess = sliding_window.debit(used, limit, 16)
    assert (after.used, excess) == (20, 10)


def test_a_refund_removes_a_run_that_is_not_the_last() -> None:
    limit = Limit(10, 60)
    first = sliding_window.consume(sliding_window.advance(SlidingWindow(), limit, 1), limit, 4)
    both = sliding_window.consume(sliding_window.advance(first, limit, 2), limit, 5)
    assert sliding_window.refund(both, limit, 4, 1).runs == both.runs[1:]
    assert [run.cost for run in sliding_window.refund(both, limit, 5, 2).runs] == [4, 0]
