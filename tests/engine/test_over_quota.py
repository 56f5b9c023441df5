"""Policies that admit beyond their quota and count it, on one server and on a Cluster."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ratelimit_enforcer.domain.decision import CheckRequest, Decision
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OnStoreFailure, OverQuota, Partition, Period, Reason
from ratelimit_enforcer.domain.headers import rate_limit_headers
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import Engine
from ratelimit_enforcer.engine.explanation import explain
from tests.engine.rules import policy, record, ruleset
from tests.support.counts import counted
from tests.support.servers import Store

YEAR = Limit(100, None, Algorithm.CALENDAR, period=Period.YEAR)
COUNTING = policy("yearly", YEAR, over_quota=OverQuota.COUNT, on_store_failure=OnStoreFailure.DENY)


def engine_of(store: Store, *policies: Policy) -> Engine:
    store.publish(ruleset(*policies))
    store.load(record("acme", 1))
    return store.engine()


def ask(engine: Engine, cost: int, *, consume: bool = True, reserve: Reserve | None = None) -> Decision:
    return engine.check(CheckRequest("acme", "search", cost=cost, reserve=reserve), consume=consume)


def figures(decision: Decision) -> tuple[bool, int, int | None]:
    """Whether it was admitted; what remains of the yearly limit, and the units over its quota."""
    state = next(state for state in decision.limits if state.limit.period is Period.YEAR)
    return decision.allowed, state.remaining, state.over_quota


def over_quota(store: Store) -> int:
    """The units that are counted, less those returned."""
    counts = counted(store)
    return sum(n for (kind, _), n in counts.items() if kind == "q") - sum(
        n for (kind, _), n in counts.items() if kind == "Q"
    )


def test_requests_beyond_the_quota_are_admitted_and_counted(anywhere: Store) -> None:
    engine = engine_of(anywhere, COUNTING)
    assert figures(ask(engine, 90)) == (True, 10, 0)
    assert over_quota(anywhere) == 0
    assert figures(ask(engine, 30)) == (True, 0, 20)
    decision = ask(engine, 5)
    assert figures(decision) == (True, 0, 25)
    assert rate_limit_headers(decision)["RateLimit"].startswith('"yearly:year";r=0;t=')
    assert figures(ask(engine, 5, consume=False)) == (True, 0, 25)
    assert over_quota(anywhere) == 25
    assert counted(anywhere)["100", "yearly"] == 1
    assert engine.peek_client("acme").decision.limits[0].over_quota == 25


def test_the_other_limits_of_the_policy_deny(anywhere: Store) -> None:
    both = replace(COUNTING, limits=(YEAR, Limit(150, 3_600)))
    engine = engine_of(anywhere, both)
    assert ask(engine, 150).allowed
    decision = ask(engine, 1)
    assert (decision.allowed, [state.name for state in decision.denying]) == (False, ["yearly:3600s"])
    assert over_quota(anywhere) == 50


def test_a_cost_above_the_quota_is_admitted(anywhere: Store) -> None:
    engine = engine_of(anywhere, COUNTING)
    assert figures(ask(engine, 1_000)) == (True, 0, 900)
    assert over_quota(anywhere) == 900
    denying = engine_of(anywhere, replace(COUNTING, slug="denying", over_quota=OverQuota.DENY))
    assert ask(denying, 1_000).reason is Reason.COST_EXCEEDS_QUOTA


def test_only_the_longest_calendar_period_is_counted(anywhere: Store) -> None:
    hour = Limit(10, None, Algorithm.CALENDAR, period=Period.HOUR)
    engine = engine_of(anywhere, replace(COUNTING, limits=(hour, YEAR)))
    states = ask(engine, 120).limits
    assert [state.over_quota for state in states] == [110, 20]
    assert over_quota(anywhere) == 20


def test_a_policy_in_shadow_mode_counts_too(anywhere: Store) -> None:
    """So that units are counted while the emergency switch is on."""
    engine = engine_of(anywhere, replace(COUNTING, mode=Mode.SHADOW))
    assert ask(engine, 130).allowed
    assert over_quota(anywhere) == 30


def test_a_refund_returns_units_over_quota_first(anywhere: Store) -> None:
    engine = engine_of(anywhere, COUNTING)
    within, beyond = ask(engine, 100, reserve=Reserve()), ask(engine, 50, reserve=Reserve())
    assert (figures(beyond), over_quota(anywhere)) == ((True, 0, 50), 50)
    assert engine.settle(within.reservation or "", 70)[1:] == (70, 30, 0)
    assert (figures(ask(engine, 1, consume=False)), over_quota(anywhere)) == ((True, 0, 20), 20)
    assert engine.settle(beyond.reservation or "", 0)[1:] == (0, 50, 0)
    assert (figures(ask(engine, 1, consume=False)), over_quota(anywhere)) == ((True, 30, 0), 0)


def test_debits_are_counted_and_are_no_debt(anywhere: Store) -> None:
    engine = engine_of(anywhere, COUNTING)
    reserved = ask(engine, 90, reserve=Reserve())
    assert engine.settle(reserved.reservation or "", 130)[1:] == (130, 0, 0)
    assert engine.charge(CheckRequest("acme", "search"), 15).overdrawn == 0
    assert (figures(ask(engine, 1, consume=False)), over_quota(anywhere)) == ((True, 0, 45), 45)
    assert engine.refund_newest(CheckRequest("acme", "search"), 50).refunded == 50
    assert (figures(ask(engine, 1, consume=False)), over_quota(anywhere)) == ((True, 5, 0), 0)


def test_a_reservation_that_takes_what_is_available_is_not_bounded_by_the_quota(anywhere: Store) -> None:
    engine = engine_of(anywhere, COUNTING)
    assert ask(engine, 500, reserve=Reserve(at_least=1)).cost == 500
    assert over_quota(anywhere) == 400


def test_a_group_is_counted_once_for_each_counter(anywhere: Store) -> None:
    engine = engine_of(anywhere, COUNTING)
    requests = [CheckRequest("acme", "search", cost=cost) for cost in (120, 130)]
    assert all(decision.allowed for decision in engine.check_together(requests))
    assert over_quota(anywhere) == 30


def test_a_request_in_parts_counts_on_each_master(anywhere: Store) -> None:
    """On a Cluster, the client's counter and that of a global policy are on different masters, for some slug."""
    slugs = [f"everyone-{number}" for number in range(3)]
    shared = [replace(COUNTING, slug=slug, partition=Partition.GLOBAL) for slug in slugs]
    engine = engine_of(anywhere, COUNTING, *shared)
    reserved = ask(engine, 110, reserve=Reserve())
    assert reserved.allowed
    assert {policy: n for (kind, policy), n in counted(anywhere).items() if kind == "q"} == dict.fromkeys(
        ("yearly", *slugs), 10
    )
    engine.settle(reserved.reservation or "", 104)
    assert {policy: n for (kind, policy), n in counted(anywhere).items() if kind == "Q"} == dict.fromkeys(
        ("yearly", *slugs), 6
    )


def test_a_request_that_another_part_denies_leaves_no_units_over_quota(anywhere: Store) -> None:
    strict = [
        policy(f"strict-{number}", Limit(100, 3_600), partition=Partition.GLOBAL, on_store_failure=OnStoreFailure.DENY)
        for number in range(3)
    ]
    engine = engine_of(anywhere, COUNTING, *strict)
    assert ask(engine, 100).allowed
    assert not ask(engine, 7).allowed
    assert (figures(ask(engine, 7, consume=False))[1:], over_quota(anywhere)) == ((0, 0), 0)


@pytest.mark.parametrize("threads", [32])
def test_units_are_exact_under_many_connections(anywhere: Store, threads: int) -> None:
    engine = engine_of(anywhere, COUNTING)
    with ThreadPoolExecutor(threads) as pool:
        decisions = list(pool.map(lambda _: ask(engine, 1), range(400)))
    assert all(decision.allowed and not decision.degraded for decision in decisions)
    assert over_quota(anywhere) == 300


def test_a_process_without_the_store_counts_nothing(store: Store) -> None:
    local = replace(COUNTING, on_store_failure=OnStoreFailure.LOCAL)
    engine = engine_of(store, local)
    assert ask(engine, 100).allowed
    engine._deadline = 0.000_001
    decision = ask(engine, 900)
    assert (decision.allowed, decision.degraded) == (True, True)
    assert over_quota(store) == 0


def test_the_explanation_names_it(store: Store) -> None:
    engine = engine_of(store, COUNTING)
    ask(engine, 130)
    (found,) = explain(engine, CheckRequest("acme", "search")).policies
    assert found.why.endswith(" It admits requests beyond the quota of its calendar limits, and counts the units.")
    assert [state.over_quota for state in found.limits] == [30]
