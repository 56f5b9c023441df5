"""Each counter expires, neither too early nor much too late."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.decision import LimitState, states_of
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.keys import shard_of
from tests.support.deciding import START, Desk, policy, token_bucket
from tests.support.histories import history_settings

CLIENT = "ann"
LATE_MS = 2
"""Redis uses milliseconds; a counter may expire late by two of them."""
LATE = 1 / 8
"""It may also expire late by this part of its lifetime, so that most requests need not set the expiry."""

LONG = st.sampled_from([60, 3_600, 31_622_400])
SMALL = st.integers(1, 12)
LIMITS = st.one_of(
    st.builds(Limit, SMALL, LONG),
    st.builds(Limit, SMALL, LONG, st.just(Algorithm.FIXED_WINDOW)),
    st.builds(token_bucket, SMALL, LONG, st.just(1)),
    st.builds(token_bucket, SMALL, st.just(60), st.one_of(st.none(), st.integers(1, 40))),
    st.builds(Limit, SMALL, st.none(), st.just(Algorithm.CALENDAR), period=st.sampled_from(Period)),
)
EDITIONS = st.lists(st.lists(LIMITS, min_size=1, max_size=3, unique_by=lambda each: each.label), min_size=3, max_size=3)
STEPS = st.lists(
    st.tuples(st.integers(0, 5_000_000), st.integers(1, 14), st.booleans(), st.integers(0, 2)), min_size=1, max_size=15
)


@pytest.fixture
def expiring(desk: Desk) -> Desk:
    """The desk with real expiry: its counters expire by the clock of Redis."""
    desk.let_counters_expire()
    return desk


def resets(desk: Desk, rules: list[EffectivePolicy]) -> list[LimitState]:
    return list(states_of(rules, 1, desk.check(CLIENT, rules, consume=False).readings, consumes=False))


@history_settings(250)
@given(editions=EDITIONS, steps=STEPS)
def test_a_counter_expires_only_when_it_no_longer_affects_decisions(
    expiring: Desk, editions: list[list[Limit]], steps: list[tuple[int, int, bool, int]]
) -> None:
    """For whichever rules are checked next, for example a smaller quota than at the last write."""
    desk, now, began = expiring, START, time.monotonic()
    desk.delete_counters()
    key = desk.keys.counter(shard_of(CLIENT), "p", CLIENT)
    for wait, cost, consume, edition in steps:
        now += wait
        desk.at(now)
        rules = [policy("p", *editions[edition])]
        answer = desk.check(CLIENT, rules, cost, consume=consume)
        longest = max(state.reset_after for state in resets(desk, rules)) * 1_000
        left = desk.redis.pttl(key)
        passed = (time.monotonic() - began) * 1_000
        assert left != -1
        assert max(left, 0) >= longest - passed - LATE_MS
        if consume and answer.admitted:
            assert left <= longest * (1 + LATE) + LATE_MS


@pytest.mark.parametrize("consume", [True, False])
def test_a_bucket_with_reduced_quota_lives_as_long_as_the_waits_it_reports(expiring: Desk, consume: bool) -> None:
    """Whether the next request is a denied check or a peek."""
    desk, key = expiring, expiring.keys.counter(shard_of(CLIENT), "p", CLIENT)
    assert desk.check(CLIENT, [policy("p", token_bucket(10, 60, 10))], 10).admitted
    cut = [policy("p", token_bucket(1, 60, 10))]
    assert not desk.check(CLIENT, cut, consume=consume).admitted
    (state,) = resets(desk, cut)
    assert state.reset_after == 600
    assert 590_000 < desk.redis.pttl(key) <= 600_000 + LATE_MS
