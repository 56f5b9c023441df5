"""A refund is exact if no other request came in between, and never too large."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.pending import Consumption
from tests.store.test_promises import TIMES, Oracle, states
from tests.support.deciding import START, Desk, policy, token_bucket
from tests.support.histories import history_settings, limit_lists, policies

COST = st.integers(1, 12)


def consume(desk: Desk, rules: list[EffectivePolicy], cost: int, now: int) -> Consumption | None:
    """One request that stays pending whatever the time of the test's clock; None if it was denied."""
    desk.at(now)
    return desk.consume(desk.request("ann", rules, cost), timeout=10**9)


def refund(desk: Desk, consumption: Consumption | None) -> None:
    """Refunds it twice, as after a lost reply."""
    if consumption is not None:
        assert [desk.pending.refund(consumption, Deadline(10)) for _ in range(2)] == [True, False]


@history_settings(250)
@given(rules=policies(), before=TIMES, cost=COST)
def test_an_immediate_refund_restores_the_state_before(
    desk: Desk, rules: list[EffectivePolicy], before: list[tuple[int, int]], cost: int
) -> None:
    """With several policies; those in shadow mode may not have consumed."""
    desk.delete_counters()
    now = START
    for wait, earlier in before:
        now += wait
        states(desk, rules, now, earlier, consume=True)
    was = [(state.remaining, state.retry_after) for state in states(desk, rules, now, 10**6)]
    refund(desk, consume(desk, rules, cost, now))
    assert [(state.remaining, state.retry_after) for state in states(desk, rules, now, 10**6)] == was


@history_settings(150)
@given(limits=limit_lists(), costs=st.lists(COST, min_size=1, max_size=8), data=st.data())
def test_any_of_several_pending_requests_can_be_refunded(
    desk: Desk, limits: list[Limit], costs: list[int], data: st.DataObject
) -> None:
    """At the same time, in any order: the result is as if only the others had been sent."""
    rules = [policy("alone", *limits)]

    def remaining(kept: list[int]) -> list[int]:
        desk.delete_counters()
        for cost in kept:
            consume(desk, rules, cost, START)
        return [state.remaining for state in states(desk, rules, START, 1)]

    desk.delete_counters()
    pending = [(cost, consumed) for cost in costs if (consumed := consume(desk, rules, cost, START))]
    order = data.draw(st.permutations(range(len(pending))))
    refunded = order[: data.draw(st.integers(0, len(order)))]
    for at in refunded:
        refund(desk, pending[at][1])
    found = [state.remaining for state in states(desk, rules, START, 1)]
    assert found == remaining([cost for at, (cost, _) in enumerate(pending) if at not in refunded])


def test_an_expired_request_is_not_refunded_at_the_expense_of_later_ones(desk: Desk) -> None:
    rules = [policy("alone", Limit(1, 1))]
    first = consume(desk, rules, 1, START)
    assert consume(desk, rules, 1, START + SECOND_US)
    refund(desk, first)
    assert consume(desk, rules, 1, START + SECOND_US) is None


def test_cost_that_was_refilled_meanwhile_is_not_refunded_too(desk: Desk) -> None:
    desk.delete_counters()
    rules = [policy("alone", token_bucket(10, 10))]
    first = consume(desk, rules, 5, START)
    assert states(desk, rules, START + 5 * SECOND_US, 3, consume=True)[0].allowed
    refund(desk, first)
    assert states(desk, rules, START + 5 * SECOND_US, 1)[0].remaining == 7


def test_a_shadow_policy_that_did_not_consume_gets_no_refund(desk: Desk) -> None:
    desk.delete_counters()
    rules = [policy("enforced", Limit(9, 60)), policy("trial", Limit(1, 60), mode=Mode.SHADOW)]
    states(desk, rules, START, 1, consume=True)
    refund(desk, consume(desk, rules, 1, START))
    assert [state.remaining for state in states(desk, rules, START, 1)] == [8, 0]


def test_a_refund_with_counters_of_another_entry_is_rejected(desk: Desk) -> None:
    desk.delete_counters()
    rules = [policy("alone", Limit(5, 60))]
    mine = consume(desk, rules, 2, START)
    assert mine
    other = mine._replace(counters=(desk.keys.counter(desk.shard("ann"), "alone", "bob"),))
    with pytest.raises(ResponseError, match="entry of other counters"):
        desk.pending.refund(other, Deadline(10))
    assert states(desk, rules, START, 1)[0].remaining == 3
    refund(desk, mine)
    assert states(desk, rules, START, 1)[0].remaining == 5


@history_settings(400)
@given(limit=limit_lists().map(lambda drawn: drawn[0]), before=TIMES, cost=COST, meanwhile=TIMES, after=TIMES)
def test_a_late_refund_never_admits_more_than_the_limit(
    desk: Desk,
    limit: Limit,
    before: list[tuple[int, int]],
    cost: int,
    meanwhile: list[tuple[int, int]],
    after: list[tuple[int, int]],
) -> None:
    desk.delete_counters()
    rules, oracle, now = [policy("alone", limit)], Oracle(limit), START

    def check(wait: int, asked: int) -> None:
        nonlocal now
        now += wait
        if states(desk, rules, now, asked, consume=True)[0].allowed:
            assert oracle.may_admit(now, asked)
            oracle.admit(now, asked)

    for wait, asked in before:
        check(wait, asked)
    consumption = consume(desk, rules, cost, now)
    for wait, asked in meanwhile:
        check(wait, asked)
    refund(desk, consumption)
    for wait, asked in after:
        check(wait, asked)
