"""A clock that was ahead for a while, or is slightly behind: no client is denied for longer than a window, reported
waits are exact, and a small step backwards admits nothing more. For the reference model and the script."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.decision import LimitState, states_of
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_platform.embedded import redis as embedded
from ratelimit_platform.embedded.redis import RedisServer, packaged_executable
from tests.engine.rules import policy as policy_of
from tests.engine.rules import ruleset
from tests.store.test_promises import Oracle
from tests.support.deciding import START, Desk, policy, sliding, token_bucket
from tests.support.histories import COSTS, history_settings, limit_lists
from tests.support.servers import Store
from tests.support.waiting import wait_until

DAY = 86_400 * SECOND_US
LIMITS = [
    sliding(3, 10),
    token_bucket(3, 10),
    Limit(3, 10, Algorithm.FIXED_WINDOW),
    Limit(3, None, Algorithm.CALENDAR, period=Period.HOUR),
]
AHEAD = st.one_of(st.integers(1, 3 * SECOND_US), st.integers(1, 10**9), st.integers(1, 10**13))
WAITS = st.one_of(st.just(0), st.integers(0, 2 * SECOND_US), st.integers(0, 90 * SECOND_US))
STEPS = st.lists(st.tuples(WAITS, COSTS), min_size=1, max_size=8)


class Model:
    """The reference model, with the interface of the script."""

    def __init__(self) -> None:
        self.delete_counters()

    def delete_counters(self) -> None:
        self._counters = Counters()

    def check(self, rules: Sequence[EffectivePolicy], now: int, cost: int = 1, *, consume: bool) -> list[LimitState]:
        admitted, readings = self._counters.check(rules, cost, now, consume=consume)
        flat = [reading for row in readings for reading in row]
        return list(states_of(rules, cost, flat, consumes=consume and admitted))


class Script:
    """The script on a real Redis."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def delete_counters(self) -> None:
        self.desk.delete_counters()

    def check(self, rules: Sequence[EffectivePolicy], now: int, cost: int = 1, *, consume: bool) -> list[LimitState]:
        self.desk.at(now)
        answer = self.desk.check("ann", rules, cost, consume=consume)
        return list(states_of(rules, cost, answer.readings, consumes=consume and answer.admitted))


Asked = Model | Script


@pytest.fixture(params=["model", "script"])
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    if request.param == "model":
        yield Model()
        return
    desk = Desk(os.environ["REDIS_URL"], f"test-{secrets.token_hex(4)}")
    yield Script(desk)
    desk.delete_counters()
    desk.close()


def microseconds(seconds: float | None) -> int:
    assert seconds is not None
    return round(seconds * SECOND_US)


def longest_hold(limit: Limit) -> int:
    """The longest time in microseconds for which a limit may deny, counted from the correction of the clock."""
    if limit.algorithm is Algorithm.TOKEN_BUCKET:
        return limit.capacity * limit.window_us // max(1, limit.quota) + 1 + limit.skew
    longest_period = 367 * DAY if limit.period is Period.YEAR else 32 * DAY
    return (limit.window_us if limit.window else longest_period) + limit.skew


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.label)
@pytest.mark.parametrize("looks_first", [False, True])
def test_a_limit_exhausted_while_the_clock_was_a_day_ahead(asked: Asked, limit: Limit, looks_first: bool) -> None:
    rules = [policy("p", limit)]
    for _ in range(3):
        assert asked.check(rules, START + DAY, consume=True)[0].allowed
    (state,) = asked.check(rules, START, consume=not looks_first)
    assert not state.allowed
    wait = microseconds(state.retry_after)
    assert 0 < wait <= longest_hold(limit)
    halfway = START + wait // 2
    (again,) = asked.check(rules, halfway, consume=True)
    assert (again.allowed, microseconds(again.retry_after)) == (False, START + wait - halfway)
    assert not asked.check(rules, START + wait - 1, consume=True)[0].allowed
    assert asked.check(rules, START + wait, consume=True)[0].allowed


@history_settings(60)
@given(limits=limit_lists(), before=STEPS, ahead=AHEAD, early=STEPS, since=STEPS)
def test_after_a_clock_was_ahead_reported_waits_are_exact_and_bounded(
    asked: Asked,
    limits: list[Limit],
    before: list[tuple[int, int]],
    ahead: int,
    early: list[tuple[int, int]],
    since: list[tuple[int, int]],
) -> None:
    asked.delete_counters()
    rules, now = [policy("p", *limits)], START
    for wait, cost in before:
        now += wait
        asked.check(rules, now, cost, consume=True)
    for wait, cost in early:
        now += wait
        asked.check(rules, now + ahead, cost, consume=True)
    for at, state in enumerate(asked.check(rules, now, 1, consume=False)):
        assert microseconds(state.reset_after) <= longest_hold(state.limit), at
    for wait, cost in since:
        now += wait
        for at, state in enumerate(asked.check(rules, now, cost, consume=True)):
            assert state.remaining >= 0
            if state.retry_after is not None:
                retry = microseconds(state.retry_after)
                assert retry <= longest_hold(state.limit)
                assert asked.check(rules, now + retry, cost, consume=False)[at].allowed
                assert not asked.check(rules, now + retry - 1, cost, consume=False)[at].allowed
            reset = microseconds(state.reset_after)
            unused = asked.check(rules, now + reset, cost, consume=False)[at]
            assert (unused.reset_after, unused.remaining) == (0, state.limit.capacity)
            assert reset == 0 or asked.check(rules, now + reset - 1, cost, consume=False)[at].reset_after > 0


@history_settings(60)
@given(
    limits=limit_lists(),
    steps=st.lists(st.tuples(st.one_of(WAITS, st.integers(-(SECOND_US // 64), 0)), COSTS), max_size=12),
)
def test_small_steps_backwards_admit_nothing_more(
    asked: Asked, limits: list[Limit], steps: list[tuple[int, int]]
) -> None:
    """As after a failover to a master whose clock is slightly behind. The time of a counter is that of its last
    admitted request or later."""
    asked.delete_counters()
    rules, now, latest = [policy("p", *limits)], START, START
    oracles = [Oracle(limit) for limit in limits]
    for wait, cost in steps:
        now = max(latest - SECOND_US // 64, now + wait)
        found = asked.check(rules, now, cost, consume=True)
        at = max(latest, now)
        for state, oracle in zip(found, oracles, strict=True):
            assert not state.allowed or oracle.may_admit(at, cost)
        if all(state.allowed for state in found):
            latest = at
            for oracle in oracles:
                oracle.admit(at, cost)


@history_settings(40)
@given(limits=limit_lists(), early=STEPS, ahead=AHEAD, since=STEPS)
def test_requests_admitted_under_a_wrong_clock_still_count(
    asked: Asked, limits: list[Limit], early: list[tuple[int, int]], ahead: int, since: list[tuple[int, int]]
) -> None:
    """With the same admitted requests, a clock that is ahead at first and then correct admits no more afterwards
    than a clock that was always correct (except for windows that begin at fixed times)."""
    rolling = [limit for limit in limits if limit.algorithm in (Algorithm.SLIDING_WINDOW, Algorithm.TOKEN_BUCKET)]
    if not rolling:
        return
    asked.delete_counters()
    rules, now = [policy("p", *rolling)], START
    oracles = [Oracle(limit) for limit in rolling]
    for offset, steps in ((ahead, early), (0, since)):
        for wait, cost in steps:
            now += wait
            found = asked.check(rules, now + offset, cost, consume=True)
            for state, oracle in zip(found, oracles, strict=True):
                assert not state.allowed or oracle.may_admit(now, cost)
            if all(state.allowed for state in found):
                for oracle in oracles:
                    oracle.admit(now, cost)


def test_runs_stay_bounded_while_the_clock_jumps_back_and_forth(desk: Desk) -> None:
    rules, key = [policy("p", sliding(10**6, 64))], desk.keys.counter(shard_of("ann"), "p", "ann")
    for jump in range(400):
        desk.at(START + jump * 100_000 + (jump % 3) * 5 * SECOND_US)
        assert desk.check("ann", rules).admitted
    assert desk.redis.strlen(key) <= 15 + 7 + 4 + 130 * 12


FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that contains the offset of the server's clock in seconds, such as ``+86400``."""
    if not FAKETIME.exists():
        pytest.skip("libfaketime is not installed.")
    # The packaged Redis, because libfaketime deadlocks with the allocator of some distributions' Redis.
    monkeypatch.setattr(embedded, "redis_executable", packaged_executable)
    file = tmp_path / "clock"
    file.write_text("+0\n")
    for name, value in {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return file


def test_a_real_server_whose_clock_was_a_day_ahead(
    clock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RedisServer(tmp_path / "redis").start()
    monkeypatch.delenv("LD_PRELOAD")
    try:
        store = Store(server.url, "own")
        store.publish(ruleset(*(policy_of(f"p-{at}", limit) for at, limit in enumerate(LIMITS[:3]))))
        store.load()
        engine = store.engine()
        put_ahead(clock, store.redis, 86_400)
        asked = CheckRequest("ann", "search")
        assert [engine.check(asked).allowed for _ in range(4)] == [True, True, True, False]
        put_ahead(clock, store.redis, 0)
        denied = engine.check(asked)
        assert not denied.allowed
        assert denied.retry_after is not None
        assert denied.retry_after <= 10.2
        keys = store.redis.keys("own:*:n:*")
        assert len(keys) == 3
        # The server's clock is advanced, so the test does not have to wait.
        put_ahead(clock, store.redis, denied.retry_after + 0.01)
        admitted = engine.check(asked)
        assert (admitted.allowed, admitted.degraded) == (True, False)
        assert max(store.redis.pttl(key) for key in keys) <= 12_000
    finally:
        server.kill()


def put_ahead(clock: Path, redis: Redis, seconds: float) -> None:
    """Changes the server's clock and waits until it takes effect, because Valkey does not read it for each command."""
    clock.write_text(f"+{seconds:.3f}\n")
    wait_until(lambda: abs(time_of(redis) - time.time() - seconds) < 0.1)


def time_of(redis: Redis) -> float:
    seconds, microseconds = redis.time()
    return float(seconds + microseconds / 1_000_000)
