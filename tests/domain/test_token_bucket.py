"""The guarantees of the token bucket, compared with exact fractions."""

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_enforcer.domain import token_bucket
from ratelimit_enforcer.domain.decision import LimitState, states_of
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.token_bucket import TokenBucket
from tests.support.deciding import policy

START = 1_800_000_000 * SECOND_US


def bucket(quota: int, seconds: int, burst: int | None = None) -> Limit:
    return Limit(quota, seconds, Algorithm.TOKEN_BUCKET, burst)


@dataclass
class Alone:
    """A token bucket with one client, and the same bucket in exact fractions."""

    limit: Limit
    now: int = START
    bucket: TokenBucket = field(default_factory=TokenBucket)

    def __post_init__(self) -> None:
        self.tokens = Fraction(self.limit.capacity)

    def wait(self, microseconds: int) -> None:
        self.now += microseconds
        rate = Fraction(self.limit.quota, self.limit.window_us)
        self.tokens = min(Fraction(self.limit.capacity), self.tokens + rate * microseconds)

    def ask(self, cost: int = 1) -> bool:
        self.bucket = token_bucket.corrected(self.bucket, self.limit, self.now)
        self.bucket = token_bucket.advance(self.bucket, self.limit, self.now)
        if not token_bucket.admits(self.bucket, self.limit, cost):
            return False
        self.bucket = token_bucket.consume(self.bucket, self.limit, cost)
        self.tokens -= cost
        return True

    def look(self, cost: int = 1) -> LimitState:
        now = token_bucket.advance(self.bucket, self.limit, self.now)
        admits = token_bucket.admits(now, self.limit, cost)
        reading = (admits, *token_bucket.figures(now))
        return states_of([policy("policy", self.limit)], cost, [reading], consumes=False)[0]


waits = st.one_of(st.just(0), st.integers(0, 1_000), st.integers(0, SECOND_US), st.integers(0, 100 * SECOND_US))
steps = st.lists(st.tuples(waits, st.integers(1, 30)), max_size=120)
limits = st.builds(
    bucket,
    quota=st.integers(1, 100),
    seconds=st.sampled_from([1, 3, 7, 60]),
    burst=st.one_of(st.none(), st.integers(1, 50)),
)
tried = settings(max_examples=150, deadline=None, derandomize=True)


@tried
@given(limit=limits, steps=steps)
def test_it_admits_exactly_what_a_bucket_in_fractions_admits(limit: Limit, steps: list[tuple[int, int]]) -> None:
    alone = Alone(limit)
    for wait, cost in steps:
        alone.wait(wait)
        fits = alone.tokens >= cost
        assert alone.look().remaining == int(alone.tokens)
        assert alone.ask(cost) == fits


@tried
@given(limit=limits, steps=steps, cost=st.integers(1, 60))
def test_the_reported_wait_is_exact_to_the_microsecond(limit: Limit, steps: list[tuple[int, int]], cost: int) -> None:
    alone = Alone(limit)
    for wait, spent in steps:
        alone.wait(wait)
        alone.ask(spent)
    state = alone.look(cost)
    if state.retry_after is None:
        assert state.allowed or cost > limit.capacity
        return
    alone.wait(round(state.retry_after * SECOND_US) - 1)
    assert not alone.look(cost).allowed
    alone.wait(1)
    assert alone.ask(cost)


@tried
@given(limit=limits, steps=steps)
def test_after_the_reset_the_bucket_is_unused(limit: Limit, steps: list[tuple[int, int]]) -> None:
    alone = Alone(limit)
    for wait, cost in steps:
        alone.wait(wait)
        alone.ask(cost)
    alone.wait(round(alone.look().reset_after * SECOND_US))
    assert (alone.look().remaining, alone.look().reset_after) == (limit.capacity, 0)


def test_a_new_bucket_is_full_and_refills_steadily() -> None:
    alone = Alone(bucket(10, 1, 20))
    assert [alone.ask() for _ in range(21)] == [True] * 20 + [False]
    assert alone.look().retry_after == 0.1
    alone.wait(SECOND_US // 10)
    assert [alone.ask(), alone.ask()] == [True, False]


def test_the_burst_defaults_to_the_quota() -> None:
    assert Alone(bucket(5, 60)).look().remaining == 5


def test_a_quota_of_zero_admits_nothing_regardless_of_the_burst() -> None:
    state = Alone(bucket(0, 60, 20)).look()
    assert (state.allowed, state.remaining, state.retry_after) == (False, 0, None)


def test_a_cost_above_the_burst_is_never_admitted() -> None:
    state = Alone(bucket(100, 60, 5)).look(6)
    assert (state.allowed, state.can_ever_admit, state.retry_after) == (False, False, None)


def test_a_changed_quota_keeps_the_used_tokens() -> None:
    alone = Alone(bucket(60, 60, 10))
    for _ in range(8):
        alone.ask()
    alone.limit = bucket(120, 60, 10)
    assert alone.look().remaining == 2
    assert alone.look(3).retry_after == 0.5


def test_a_reduced_burst_keeps_the_used_tokens() -> None:
    """Eight are used of a bucket of four: five are refilled before there is one again."""
    alone = Alone(bucket(60, 60, 10))
    for _ in range(8):
        alone.ask()
    alone.limit = bucket(60, 60, 4)
    assert alone.look().remaining == 0
    assert alone.look().retry_after == 5.0


def test_a_clock_that_runs_backwards_adds_no_tokens() -> None:
    alone = Alone(bucket(1, 60))
    assert alone.ask()
    alone.now -= 3_600 * SECOND_US
    assert not alone.ask()
    assert alone.look().retry_after == 60.0
