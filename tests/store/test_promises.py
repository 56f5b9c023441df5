"""The contract's guarantees for each algorithm, compared with oracles that do not depend on the counters' format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.decision import LimitState, states_of
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from tests.support.deciding import START, Desk, policy
from tests.support.histories import COSTS, WAITS, editions, history_settings, limit_lists, policies

Asked = Sequence[EffectivePolicy]
TIMES = st.lists(st.tuples(WAITS.filter(lambda wait: wait >= 0), COSTS), max_size=12)


@dataclass
class Oracle:
    """All that one limit admitted; ``tokens``: the exact content of a token bucket at ``since``."""

    limit: Limit
    log: list[tuple[int, int]] = field(default_factory=list)
    tokens: Fraction = Fraction(0)
    since: int = START

    def __post_init__(self) -> None:
        self.tokens = Fraction(self.limit.capacity)

    def used(self, since: int) -> int:
        """The cost admitted after ``since``."""
        return sum(cost for at, cost in self.log if at > since)

    def must_admit(self, now: int, cost: int) -> bool:
        """Whether a denial would be wrong, even with the 1/64 of a sliding window by which requests may expire late."""
        if self.limit.algorithm is Algorithm.SLIDING_WINDOW:
            late = -(-self.limit.window_us // 64)
            return self.used(now - self.limit.window_us - late) + cost <= self.limit.quota
        return self.may_admit(now, cost)

    def may_admit(self, now: int, cost: int) -> bool:
        """Whether the guarantee permits admitting this request."""
        match self.limit.algorithm:
            case Algorithm.TOKEN_BUCKET:
                return self.limit.quota > 0 and self.level(now) >= cost
            case Algorithm.SLIDING_WINDOW:
                return self.used(now - self.limit.window_us) + cost <= self.limit.quota
            case _:
                return self.used(window_bounds(self.limit, now)[0] - 1) + cost <= self.limit.quota

    def level(self, now: int) -> Fraction:
        rate = Fraction(self.limit.quota, self.limit.window_us)
        return min(Fraction(self.limit.capacity), self.tokens + rate * (now - self.since))

    def admit(self, now: int, cost: int) -> None:
        self.log.append((now, cost))
        if self.limit.algorithm is Algorithm.TOKEN_BUCKET:
            self.tokens, self.since = self.level(now) - cost, now


def states(
    desk: Desk, rules: Asked, now: int, cost: int, *, consume: bool = False, client: str = "ann"
) -> list[LimitState]:
    """The states of the limits after one request at ``now``, derived as in the API."""
    desk.at(now)
    answer = desk.check(client, rules, cost, consume=consume)
    read = list(states_of(rules, cost, answer.readings, consumes=consume and answer.admitted))
    assert answer.admitted == all(state.allowed for state in read if state.is_enforced)
    return read


def microseconds(seconds: float | None) -> int:
    assert seconds is not None
    return round(seconds * SECOND_US)


@history_settings(700)
@given(rules=policies(partitions=(Partition.CLIENT,)), requests=TIMES)
def test_safety_liveness_and_all_or_nothing(
    desk: Desk, rules: list[EffectivePolicy], requests: list[tuple[int, int]]
) -> None:
    desk.delete_counters()
    oracles = [[Oracle(limit) for limit in each.limits] for each in rules]
    now = START
    for wait, cost in requests:
        now += wait
        looked = states(desk, rules, now, cost)
        found = states(desk, rules, now, cost, consume=True)
        assert [state.allowed for state in looked] == [state.allowed for state in found]
        admitted = all(state.allowed for state in found if state.is_enforced)
        for state, oracle in zip(found, [oracle for row in oracles for oracle in row], strict=True):
            assert not state.allowed or oracle.may_admit(now, cost)
            assert state.allowed or not oracle.must_admit(now, cost)
        for each, row in zip(rules, oracles, strict=True):
            whole = all(state.allowed for state in found if state.policy == each.policy.slug)
            if admitted and whole:
                for oracle in row:
                    oracle.admit(now, cost)
        if not admitted:
            assert states(desk, rules, now, cost) == looked


@history_settings(600)
@given(limits=limit_lists(), requests=TIMES)
def test_reported_waits_are_neither_too_short_nor_too_long(
    desk: Desk, limits: list[Limit], requests: list[tuple[int, int]]
) -> None:
    desk.delete_counters()
    hold_waits(desk, [policy("alone", *limits)], START, requests)


@history_settings(300)
@given(edited=editions(), before=TIMES, since=TIMES)
def test_reported_waits_are_exact_after_changes_of_quota_and_burst(
    desk: Desk, edited: list[list[EffectivePolicy]], before: list[tuple[int, int]], since: list[tuple[int, int]]
) -> None:
    desk.delete_counters()
    first, second, _ = edited
    now = START
    for wait, cost in before:
        now += wait
        states(desk, first, now, cost, consume=True)
    hold_waits(desk, second, now, since)


def hold_waits(desk: Desk, rules: Asked, now: int, requests: list[tuple[int, int]]) -> None:
    for wait, cost in requests:
        now += wait
        found = states(desk, rules, now, cost, consume=True)
        assert [state._replace(allowed=True, retry_after=None) for state in found] == [
            state._replace(allowed=True, retry_after=None) for state in states(desk, rules, now, cost)
        ]
        for at, state in enumerate(found):

            def after(microseconds_: int, at: int = at, now: int = now, cost: int = cost) -> LimitState:
                return states(desk, rules, now + microseconds_, cost)[at]

            hold_retry(state, after)
            hold_reset(state, after)
            hold_next_capacity(state, after)


def hold_retry(state: LimitState, after) -> None:  # type: ignore[no-untyped-def]
    if state.retry_after is not None:
        retry = microseconds(state.retry_after)
        assert after(retry).allowed
        assert not after(retry - 1).allowed
    elif not state.allowed:
        assert not after(400 * 86_400 * SECOND_US).allowed


def hold_reset(state: LimitState, after) -> None:  # type: ignore[no-untyped-def]
    reset = microseconds(state.reset_after)
    unused = after(reset)
    assert (unused.reset_after, unused.remaining) == (0, state.limit.capacity)
    assert reset == 0 or after(reset - 1).reset_after > 0


def hold_next_capacity(state: LimitState, after) -> None:  # type: ignore[no-untyped-def]
    if state.next_capacity_after is None:
        assert state.reset_after == 0 or state.limit.quota == 0
        return
    wait = microseconds(state.next_capacity_after)
    assert after(wait).remaining > state.remaining
    assert after(wait - 1).remaining == state.remaining


@history_settings(400)
@given(rules=policies(partitions=(Partition.CLIENT,)), requests=TIMES)
def test_the_order_of_limits_does_not_matter(
    desk: Desk, rules: list[EffectivePolicy], requests: list[tuple[int, int]]
) -> None:
    desk.delete_counters()
    turned = [policy(each.policy.slug, *each.limits[::-1], mode=each.mode) for each in rules[::-1]]
    now = START
    for wait, cost in requests:
        now += wait
        one = states(desk, rules, now, cost, consume=True, client="ann")
        other = states(desk, turned, now, cost, consume=True, client="bob")
        assert sorted(one, key=lambda state: state.name) == sorted(other, key=lambda state: state.name)


def test_a_shadow_policy_consumes_only_requests_that_are_admitted(desk: Desk) -> None:
    desk.delete_counters()
    rules = [
        policy("enforced", Limit(2, 60)),
        policy("shadow", Limit(1, 60), mode=Mode.SHADOW),
    ]
    found = [states(desk, rules, START, 1, consume=True) for _ in range(3)]
    assert [[state.allowed for state in row] for row in found] == [[True, True], [True, False], [False, False]]
    assert [row[1].remaining for row in found] == [0, 0, 0]
