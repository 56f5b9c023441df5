"""A refund leaves each counter as if the request had cost less from its check on; what is overdrawn is paid back."""

import secrets
import struct
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.decision import LimitState, states_of
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.reservations import ReservationId, Store
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.requests import Settleable, SettleableKind
from ratelimit_enforcer.store.reservations import OpenRecord, SettledRecord
from tests.support.deciding import START, Desk, policy, sliding, token_bucket
from tests.support.histories import history_settings

ALGORITHMS = st.sampled_from(
    [
        sliding(100, 60),
        token_bucket(100, 60),
        token_bucket(100, 60, 40),
        Limit(100, 60, Algorithm.FIXED_WINDOW),
    ]
)
WAITS = st.one_of(st.just(0), st.integers(1, 2_000_000), st.integers(0, 20_000_000))
STEPS = st.lists(
    st.tuples(WAITS, st.sampled_from(["check", "reserve", "settle"]), st.integers(1, 40), st.integers(0, 40)),
    max_size=40,
)


@dataclass
class Event:
    """A cost that was consumed at a time."""

    at: int
    cost: int


def used(limit: Limit, events: list[Event], now: int) -> Fraction:
    """The usage of a limit by definition, from all events."""
    match limit.algorithm:
        case Algorithm.SLIDING_WINDOW:
            return Fraction(sum(event.cost for event in events if event.at > now - limit.window_us))
        case Algorithm.FIXED_WINDOW:
            begin = window_bounds(limit, now)[0]
            return Fraction(sum(event.cost for event in events if event.at >= begin))
    level, since = Fraction(0), START
    for event in [*events, Event(now, 0)]:
        level = max(Fraction(0), level - Fraction(limit.quota, limit.window_us) * (event.at - since)) + event.cost
        since = event.at
    return level


def ask(desk: Desk, rules: list[EffectivePolicy], cost: int, *, consume: bool = True) -> LimitState:
    answer = desk.check("ann", rules, cost, consume=consume)
    return states_of(rules, cost, answer.readings, consumes=False)[0]


def reserve(desk: Desk, rules: list[EffectivePolicy], cost: int, ttl: int = 3_600) -> ReservationId | None:
    name = secrets.token_bytes(16)
    settleable = Settleable(SettleableKind.RESERVATION, name, ttl * SECOND_US)
    answer = desk.decide(desk.request("ann", rules, cost)._replace(settleable=settleable))
    return ReservationId(Store.SHARD, desk.shard("ann"), name) if answer.admitted else None  # type: ignore[union-attr]


def settle(desk: Desk, reservation: ReservationId, cost: int) -> SettledRecord:
    record = desk.reservations.read(reservation, Deadline(10))
    assert isinstance(record, OpenRecord)
    settled = desk.reservations.settle(reservation, record, cost, desk.now, Deadline(10))
    assert isinstance(settled, SettledRecord)
    return settled


@history_settings(800)
@given(limit=ALGORITHMS, steps=STEPS)
def test_usage_is_as_if_each_request_had_cost_what_it_was_settled_at(
    desk: Desk, limit: Limit, steps: list[tuple[int, str, int, int]]
) -> None:
    """Refunds count from the check on, excesses from the settlement on. Waits are accurate."""
    desk.delete_counters()
    rules, events, now = [policy("alone", limit)], list[Event](), START
    unsettled: list[tuple[ReservationId, Event]] = []
    for wait, step, cost, settled in steps:
        now += wait
        desk.at(now)
        level = used(limit, events, now)
        state = ask(desk, rules, 1, consume=False)
        assert state.remaining == max(0, int(limit.capacity - level))
        if step == "settle" and unsettled:
            reservation, event = unsettled.pop(settled % len(unsettled))
            result = settle(desk, reservation, settled)
            assert result.refunded == max(0, event.cost - settled)
            if settled > event.cost:
                events.append(Event(now, settled - event.cost))
            event.cost = min(event.cost, settled)
            continue
        if step == "reserve":
            reservation = reserve(desk, rules, cost)
            admitted = reservation is not None
        else:
            admitted = ask(desk, rules, cost).allowed
        assert admitted == (level + cost <= limit.capacity)
        if admitted:
            events.append(Event(now, cost))
        if admitted and step == "reserve":
            assert reservation
            unsettled.append((reservation, events[-1]))


@pytest.mark.parametrize("limit", [sliding(10, 60), token_bucket(10, 60), Limit(10, 60, Algorithm.FIXED_WINDOW)])
def test_waits_include_paying_the_debt(desk: Desk, limit: Limit) -> None:
    desk.delete_counters()
    rules = [policy("alone", limit)]
    desk.at(START + SECOND_US)
    reservation = reserve(desk, rules, 4)
    assert reservation
    assert settle(desk, reservation, 25).overdrawn == 15
    state = ask(desk, rules, 1, consume=False)
    assert (state.allowed, state.remaining) == (False, 0)
    assert state.retry_after is not None
    desk.at(START + SECOND_US + round(state.retry_after * SECOND_US) - 1)
    assert not ask(desk, rules, 1, consume=False).allowed
    desk.at(desk.now + 1)
    assert ask(desk, rules, 1, consume=False).allowed


def test_a_full_bucket_forgets(desk: Desk) -> None:
    """Reserve 100, refill 30, use 50, refund 80: 50 remain used, not 40."""
    desk.delete_counters()
    rules = [policy("alone", token_bucket(100, 100))]
    reservation = reserve(desk, rules, 100)
    desk.at(START + 30 * SECOND_US)
    assert not ask(desk, rules, 50).allowed
    assert reservation
    rules = [policy("alone", token_bucket(100, 100, 200))]
    assert ask(desk, rules, 50).allowed
    settle(desk, reservation, 20)
    assert ask(desk, rules, 1, consume=False).remaining == 150


def test_a_refund_lowers_the_bounds_of_later_ones(desk: Desk) -> None:
    """Both reservations could be refunded 40 alone, but not one after the other: only the last request remains used."""
    desk.delete_counters()
    rules = [policy("alone", token_bucket(100, 100))]
    one, other = reserve(desk, rules, 50), reserve(desk, rules, 50)
    desk.at(START + 60 * SECOND_US)
    assert ask(desk, rules, 1).allowed
    for reservation in (one, other):
        assert reservation
        settle(desk, reservation, 0)
        assert ask(desk, rules, 1, consume=False).remaining == 99


def test_a_refund_lowers_the_bounds_of_earlier_ones(desk: Desk) -> None:
    """Usage was least before the second reservation; its refund makes it least after that."""
    desk.delete_counters()
    rules = [policy("alone", token_bucket(100, 100))]
    one = reserve(desk, rules, 50)
    desk.at(START + 40 * SECOND_US)
    other = reserve(desk, rules, 40)
    desk.at(START + 75 * SECOND_US)
    assert ask(desk, rules, 1).allowed
    for reservation in (other, one):
        assert reservation
        settle(desk, reservation, 0)
        assert ask(desk, rules, 1, consume=False).remaining == 99


@history_settings(120)
@given(
    data=st.data(),
    steps=st.lists(st.tuples(st.integers(0, 9_000_000), st.integers(1, 9)), min_size=25, max_size=45),
)
def test_with_many_reservations_script_and_model_merge_the_same_bounds(
    desk: Desk, data: st.DataObject, steps: list[tuple[int, int]]
) -> None:
    """More than a bucket stores. Merged, they refund less than the definition, never more."""
    desk.delete_counters()
    rules, model, now, events = [policy("alone", token_bucket(1_000, 1_000))], Counters(), START, list[Event]()
    reserved = []
    for number, (wait, cost) in enumerate([(0, 400), (390 * SECOND_US, 9), *steps]):
        now += wait
        desk.at(now)
        name, until = reserve(desk, rules, cost), now + 3_600 * SECOND_US
        reserved.append((name, model.reserve(rules, cost, now, name=number, until=until)[0], Event(now, cost)))
        events.append(reserved[-1][2])
    for at in data.draw(st.permutations(range(len(reserved)))):
        name, in_model, event = reserved[at]
        assert name
        assert in_model
        settle(desk, name, 0)
        model.settle(in_model, 0, now)
        event.cost = 0
        expected = states_of(rules, 1, model.check(rules, 1, now, consume=False)[1][0], consumes=False)[0]
        state = ask(desk, rules, 1, consume=False)
        assert state == expected
        assert state.remaining <= int(1_000 - used(rules[0].limits[0], events, now))


def test_the_next_request_is_admitted_at_the_microsecond_after_a_refund(desk: Desk) -> None:
    """10 of 10 were used, 8 of them reserved 5 seconds ago: a refund of 6 admits 6 at once, and the seventh when the
    rest of the run has expired."""
    desk.delete_counters()
    rules = [policy("alone", sliding(10, 60))]
    reservation = reserve(desk, rules, 8)
    desk.at(START + 5 * SECOND_US)
    assert ask(desk, rules, 2).allowed
    assert reservation
    settle(desk, reservation, 2)
    assert ask(desk, rules, 6).allowed
    state = ask(desk, rules, 1, consume=False)
    assert state.retry_after == 55.0
    desk.at(START + 60 * SECOND_US - 1)
    assert not ask(desk, rules, 1, consume=False).allowed
    desk.at(START + 60 * SECOND_US)
    assert ask(desk, rules, 2).allowed


def test_after_its_time_nothing_is_refunded_and_an_excess_is_debited(desk: Desk) -> None:
    desk.delete_counters()
    rules = [policy("alone", sliding(100, 3_600))]
    one, other = reserve(desk, rules, 10, ttl=60), reserve(desk, rules, 10, ttl=60)
    assert one
    assert other
    desk.at(START + 60 * SECOND_US)
    assert settle(desk, one, 1).refunded == 0
    assert settle(desk, other, 15).refunded == 0
    assert ask(desk, rules, 1, consume=False).remaining == 75


def test_a_debt_is_bounded(desk: Desk) -> None:
    desk.delete_counters()
    rules = [policy("alone", sliding(10, 60), token_bucket(10, 60))]
    for _ in range(6):
        desk.at(START)
        reservation = reserve(desk, rules, 1)
        if reservation is None:
            break
        settle(desk, reservation, 10**9)
    state = ask(desk, rules, 1, consume=False)
    assert state.retry_after == 60.0
    bucket = states_of(rules, 1, desk.check("ann", rules, 1, consume=False).readings, consumes=False)[1]
    assert bucket.retry_after is not None
    assert bucket.retry_after <= 366 * 86_400 + 6


def test_a_debit_extends_the_life_of_a_counter(desk: Desk) -> None:
    """The counter says until when it matters, in the first of its sections."""
    desk.delete_counters()
    reservation = reserve(desk, [policy("alone", sliding(10, 60))], 1)
    assert reservation
    desk.at(START + 50 * SECOND_US)
    settle(desk, reservation, 2)
    content = desk.redis.get(desk.keys.counter(desk.shard("ann"), "alone", "ann"))
    (expiry,) = struct.unpack_from(">Q", content, 7)
    assert expiry >= START + 110 * SECOND_US


@pytest.mark.parametrize("algorithm", [Algorithm.SLIDING_WINDOW, Algorithm.FIXED_WINDOW])
def test_a_debit_never_lowers_the_usage(desk: Desk, algorithm: Algorithm) -> None:
    """The debt is already larger than the limit of the second reservation may remember."""
    desk.delete_counters()
    large, small = ([policy("alone", Limit(quota, 60, algorithm))] for quota in (1_000, 10))
    one, other = reserve(desk, large, 1), reserve(desk, small, 1)
    assert one
    assert other
    assert ask(desk, large, 500).allowed
    settle(desk, one, 10**9)
    settle(desk, other, 10**9)
    assert desk.check("ann", small, 1, consume=False).readings[0][1] == 10**9 + 501


def test_a_lowered_quota_makes_no_debt_longer_than_two_years(desk: Desk) -> None:
    """Usage is kept, but not what would take longer than a burst and a debt may."""
    desk.delete_counters()
    year = 366 * 86_400
    desk.check("ann", [policy("alone", token_bucket(300, year))], 200)
    state = ask(desk, [policy("alone", token_bucket(1, year))], 1, consume=False)
    assert state.retry_after == 2 * year
    counter = desk.keys.counter(desk.shard("ann"), "alone", "ann")
    assert desk.redis.pttl(counter) >= 2 * year * 1_000 - 60_000


def test_a_policy_that_got_another_limit_meanwhile(desk: Desk) -> None:
    """The counter begins again, so nothing is refunded into it."""
    desk.delete_counters()
    reservation = reserve(desk, [policy("alone", sliding(10, 60))], 8)
    rules = [policy("alone", sliding(10, 60), sliding(100, 3_600))]
    desk.at(START + 1)
    assert ask(desk, rules, 1).allowed
    assert reservation
    settle(desk, reservation, 0)
    assert ask(desk, rules, 1, consume=False).remaining == 1


def test_settling_refunds_into_no_other_period(desk: Desk) -> None:
    desk.delete_counters()
    rules = [policy("alone", Limit(10, 60, Algorithm.FIXED_WINDOW))]
    reservation = reserve(desk, rules, 8)
    desk.at(START + 60 * SECOND_US)
    assert ask(desk, rules, 5).allowed
    assert reservation
    settle(desk, reservation, 0)
    assert ask(desk, rules, 1, consume=False).remaining == 5
