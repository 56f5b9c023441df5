"""Grants: units beyond the quota of a calendar limit, on one server and on a Cluster."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.decision import CheckRequest, Decision
from ratelimit_enforcer.domain.enums import Algorithm, OnStoreFailure, OverQuota, Partition, Period, Reason
from ratelimit_enforcer.domain.grants import Grant, consumed_field, returned_field
from ratelimit_enforcer.domain.headers import rate_limit_headers
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import Engine
from ratelimit_enforcer.store.keys import shard_of
from tests.engine.rules import policy, record, ruleset
from tests.support.counts import counted
from tests.support.servers import Store
from tests.support.waiting import wait_until

YEAR = Limit(100, None, Algorithm.CALENDAR, period=Period.YEAR)
YEARLY = policy("yearly", YEAR, on_store_failure=OnStoreFailure.DENY)
LATER = 2**52
SOONER = LATER - 1
FIRST, SECOND = Grant(1, "yearly", 50, 0, SOONER), Grant(2, "yearly", 30, 0, LATER)


def sell(store: Store, *grants: Grant, client: str = "acme", root: str = "") -> None:
    """Creates the two numbers of each grant, as the publisher does."""
    fields = {name(grant.id): 0 for grant in grants for name in (consumed_field, returned_field)}
    store.redis.hset(store.keys.grants(shard_of(root or client), client), mapping=fields)


def engine_of(store: Store, *policies: Policy, grants: Sequence[Grant] = (SECOND, FIRST)) -> Engine:
    store.publish(ruleset(*(policies or (YEARLY,))))
    store.load(record("acme", 1, grants=tuple(grants)))
    sell(store, *grants)
    return store.engine()


def ask(engine: Engine, cost: int, *, consume: bool = True, reserve: Reserve | None = None) -> Decision:
    return engine.check(CheckRequest("acme", "search", cost=cost, reserve=reserve), consume=consume)


def figures(decision: Decision) -> tuple[bool, int, int]:
    """Whether it was admitted; what remains of the yearly limit, and of its grants."""
    state = next(state for state in decision.limits if state.policy == "yearly")
    return decision.allowed, state.remaining, state.granted


def peek(engine: Engine) -> tuple[int, int]:
    return figures(ask(engine, 1, consume=False))[1:]


def used(store: Store) -> list[int]:
    """The units of the two grants that are consumed now; what is stored is what is counted."""
    counts = counted(store)
    stored = store.redis.hgetall(store.keys.grants(shard_of("acme"), "acme"))
    found = []
    for grant in (1, 2):
        consumed, returned = (int(stored.get(f"{grant}{letter}".encode(), 0)) for letter in "cr")
        assert (consumed, returned) == (counts[f"g{grant}", "yearly"], counts[f"G{grant}", "yearly"])
        found.append(consumed - returned)
    return found


def test_grants_are_consumed_after_the_quota_the_soonest_end_first(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    assert peek(engine) == (180, 80)
    assert figures(ask(engine, 90)) == (True, 90, 80)
    assert used(anywhere) == [0, 0]
    assert (figures(ask(engine, 20)), used(anywhere)) == ((True, 70, 70), [10, 0])
    assert (figures(ask(engine, 50)), used(anywhere)) == ((True, 20, 20), [50, 10])
    denied = ask(engine, 21)
    assert (figures(denied), denied.reason, used(anywhere)) == ((False, 20, 20), Reason.LIMIT, [50, 10])
    last = ask(engine, 20)
    assert (figures(last), used(anywhere)) == ((True, 0, 0), [50, 30])
    assert rate_limit_headers(last)["RateLimit"].startswith('"yearly:year";r=0;t=')
    assert rate_limit_headers(last)["RateLimit-Policy"] == '"yearly:year";q=100'
    assert not ask(engine, 1).allowed
    assert counted(anywhere)["100", "yearly"] == 1
    (state,) = engine.peek_client("acme").decision.limits
    assert (state.granted, state.used) == (0, 100)


def test_a_lower_priority_is_consumed_first(anywhere: Store) -> None:
    engine = engine_of(anywhere, grants=(replace(FIRST, priority=1), SECOND))
    ask(engine, 110)
    assert used(anywhere) == [0, 10]


def test_a_cost_above_quota_and_grants_can_never_be_admitted(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    assert ask(engine, 181).reason is Reason.COST_EXCEEDS_QUOTA
    assert ask(engine, 150).allowed
    denied = ask(engine, 150)
    assert (denied.reason, denied.retry_after) == (Reason.LIMIT, None)


def test_refunds_return_granted_units_in_reverse(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    reserved = ask(engine, 160, reserve=Reserve())
    assert used(anywhere) == [50, 10]
    assert engine.settle(reserved.reservation or "", 120)[1:] == (120, 40, 0)
    assert (used(anywhere), peek(engine)) == ([20, 0], (60, 60))
    again = ask(engine, 60, reserve=Reserve())
    engine.release(again.reservation or "")
    assert (used(anywhere), peek(engine)) == ([20, 0], (60, 60))


def test_units_are_returned_after_a_reset_but_not_to_a_grant_that_has_ended(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    ends_at = engine.now() + 2 * SECOND_US
    short, clock = replace(FIRST, ends_at=ends_at), Grant(3, "yearly", 5, 0, ends_at, 9)
    sell(anywhere, clock)
    anywhere.put(record("acme", 2, grants=(short, SECOND, clock)))
    reserved = ask(engine, 160, reserve=Reserve())
    assert used(anywhere) == [50, 10]
    counter = anywhere.keys.counter(shard_of("acme"), "yearly", "acme")
    anywhere.redis.delete(counter)
    assert peek(engine)[1] == 25
    wait_until(lambda: peek(engine)[1] == 20)
    assert engine.settle(reserved.reservation or "", 0)[1:] == (0, 160, 0)
    assert (used(anywhere), peek(engine)) == ([50, 0], (130, 30))


def test_a_grant_begins_and_ends_by_the_clock_of_the_store(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    now = engine.now()
    future = replace(FIRST, starts_at=now + 2 * SECOND_US, ends_at=now + 4 * SECOND_US)
    anywhere.put(record("acme", 2, grants=(future,)))
    assert peek(engine) == (100, 0)
    wait_until(lambda: peek(engine) == (150, 50))
    wait_until(lambda: peek(engine) == (100, 0))


def test_debits_consume_grants_and_what_nothing_covers_is_debt(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    reserved = ask(engine, 90, reserve=Reserve())
    assert engine.settle(reserved.reservation or "", 120)[1:] == (120, 0, 0)
    assert (used(anywhere), peek(engine)) == ([20, 0], (60, 60))
    assert engine.charge(CheckRequest("acme", "search"), 100).overdrawn == 40
    assert (used(anywhere), peek(engine)) == ([50, 30], (0, 0))
    assert engine.refund_newest(CheckRequest("acme", "search"), 50).refunded == 50
    assert (used(anywhere), peek(engine)) == ([50, 20], (10, 10))


def test_what_is_beyond_grants_is_counted_over_quota(anywhere: Store) -> None:
    engine = engine_of(anywhere, replace(YEARLY, over_quota=OverQuota.COUNT))
    (state,) = ask(engine, 200).limits
    assert (state.allowed, state.remaining, state.granted, state.over_quota) == (True, 0, 0, 20)
    assert (used(anywhere), counted(anywhere)["q", "yearly"]) == ([50, 30], 20)


def test_a_grant_without_numbers_in_the_store_admits_nothing(anywhere: Store) -> None:
    """As after the store was emptied, until the publisher has restored them."""
    engine = engine_of(anywhere)
    assert ask(engine, 120).allowed
    anywhere.redis.delete(anywhere.keys.grants(shard_of("acme"), "acme"))
    assert figures(ask(engine, 1)) == (False, 0, 0)
    anywhere.redis.hset(anywhere.keys.grants(shard_of("acme"), "acme"), mapping={"1c": 20, "1r": 0, "2c": "x"})
    assert figures(ask(engine, 31)) == (False, 30, 30)
    assert figures(ask(engine, 30)) == (True, 0, 0)


def test_grants_of_another_policy_or_with_attributes_are_ignored(anywhere: Store) -> None:
    others = (Grant(3, "other", 50, 0, LATER), Grant(4, "by-model", 50, 0, LATER), Grant(5, "everyone", 50, 0, LATER))
    policies = (
        replace(YEARLY, slug="by-model", attributes=("model",)),
        replace(YEARLY, slug="everyone", partition=Partition.GLOBAL),
        YEARLY,
    )
    engine = engine_of(anywhere, *policies, grants=others)
    assert {state.granted for state in ask(engine, 1).limits} == {0}


def test_a_grant_extends_the_limits_of_an_override_and_idles_without_a_calendar_limit(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    smaller = Override("yearly", (Limit(10, None, Algorithm.CALENDAR, period=Period.DAY),))
    anywhere.put(record("acme", 2, grants=(FIRST,), overrides=(smaller,)))
    assert figures(ask(engine, 15)) == (True, 45, 45)
    anywhere.put(record("acme", 3, grants=(FIRST,), overrides=(Override("yearly", (Limit(10, 3_600),)),)))
    assert figures(ask(engine, 1, consume=False)) == (True, 10, 0)


def test_a_tree_uses_the_grants_of_its_ancestor(anywhere: Store) -> None:
    anywhere.publish(ruleset(replace(YEARLY, plan="free")))
    anywhere.load(record("org", 1, grants=(FIRST,)), record("acme", 1, parent="org"))
    sell(anywhere, FIRST, client="org")
    engine = anywhere.engine()
    decision = ask(engine, 130, reserve=Reserve())
    assert (figures(decision), decision.limits[0].client) == ((True, 20, 20), "org")
    assert counted(anywhere)["g1", "yearly"] == 30
    assert engine.settle(decision.reservation or "", 110)[1:] == (110, 20, 0)
    assert anywhere.redis.hmget(anywhere.keys.grants(shard_of("org"), "org"), "1c", "1r") == [b"30", b"20"]


def test_a_group_takes_from_grants_once(anywhere: Store) -> None:
    engine = engine_of(anywhere)
    decisions = engine.check_together([CheckRequest("acme", "search", cost=cost) for cost in (120, 110)])
    assert [decision.allowed for decision in decisions] == [True, True]
    assert used(anywhere) == [20, 0]
    assert [state.granted for decision in decisions for state in decision.limits] == [60, 60]


def test_a_request_in_parts_takes_from_grants_and_returns_what_another_part_denies(anywhere: Store) -> None:
    strict = [
        policy(f"strict-{number}", Limit(140, 3_600), partition=Partition.GLOBAL, on_store_failure=OnStoreFailure.DENY)
        for number in range(3)
    ]
    engine = engine_of(anywhere, YEARLY, *strict)
    assert (figures(ask(engine, 130)), used(anywhere)) == ((True, 50, 50), [30, 0])
    assert not ask(engine, 20).allowed
    wait_until(lambda: peek(engine) == (50, 50))
    assert used(anywhere) == [30, 0]


@pytest.mark.parametrize("threads", [32])
def test_never_one_unit_more_under_many_connections(anywhere: Store, threads: int) -> None:
    engine = engine_of(anywhere)
    with ThreadPoolExecutor(threads) as pool:
        decisions = list(pool.map(lambda _: ask(engine, 1), range(250)))
    assert not any(decision.degraded for decision in decisions)
    assert sum(decision.allowed for decision in decisions) == 180
    assert used(anywhere) == [50, 30]


def test_a_process_without_the_store_ignores_grants(store: Store) -> None:
    engine = engine_of(store, replace(YEARLY, on_store_failure=OnStoreFailure.LOCAL))
    assert ask(engine, 1).allowed
    engine._deadline = 0.000_001
    decision = ask(engine, 101)
    assert (decision.allowed, decision.degraded, decision.limits[0].granted) == (False, True, 0)


def test_what_cannot_be_counted_is_not_taken(store: Store) -> None:
    engine = engine_of(store)
    assert ask(engine, 100).allowed
    store.redis.set(store.keys.usage[shard_of("acme")], "damaged")
    assert not ask(engine, 1).allowed
