"""Rules that begin later, or apply to a share of the clients, in one published ruleset."""

from dataclasses import replace

import pytest

from ratelimit_enforcer.domain.enums import OnStoreFailure
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.rules import Endpoint, Rules
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.variants import Share, Variant
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.explanation import explain
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.engine.test_policy_dates import engine_with_clock, set_clock
from tests.support.deciding import START
from tests.support.servers import Store

pytestmark = pytest.mark.xdist_group("variants")

HOUR = 3_600 * SECOND_US
SEARCH = CheckRequest("acme", "search")
PILOT = Share("pilot", "salt", tag="pilot")


def with_quota(quota: int) -> Ruleset:
    return ruleset(policy("all", per_hour(quota), on_store_failure=OnStoreFailure.LOCAL))


def rules_of(found: Ruleset) -> Rules:
    return Rules(found.plans, found.default_plan, found.endpoints, found.policies, found.segment_overrides)


def rules(quota: int) -> Rules:
    return rules_of(with_quota(quota))


SCHEDULED = replace(
    with_quota(9), variants=(Variant(rules(5), "monday", START), Variant(rules(7), "tuesday", START + HOUR))
)
SHARED = replace(with_quota(9), share=PILOT, variants=(Variant(rules(5), "pilot", shared=True),))


def decided(engine: Engine, client: str = "acme", *, consume: bool = False) -> tuple[int, str | None]:
    """The quota that applied, and the change set that decided."""
    decision = engine.check(CheckRequest(client, "search"), consume=consume)
    assert not decision.degraded
    return decision.limits[0].limit.quota, decision.change


MOMENTS = [
    (START - 1, (9, None)),
    (START, (5, "monday")),
    (START + HOUR - 1, (5, "monday")),
    (START + HOUR, (7, "tuesday")),
]


@pytest.mark.parametrize("backwards", [False, True])
def test_scheduled_rules_begin_by_the_clock_of_the_store(
    store: Store, backwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two servers, whose own clocks are stopped; nothing is published meanwhile."""
    monkeypatch.setattr("ratelimit_enforcer.engine.ruleset_cache.time.time_ns", lambda: START * 1_000)
    store.publish(SCHEDULED)
    store.load()
    engines = engine_with_clock(store), engine_with_clock(store)
    for now, expected in reversed(MOMENTS) if backwards else MOMENTS:
        set_clock(store, now)
        assert [decided(engine) for engine in engines] == [expected, expected], now - START


def test_counters_continue_when_scheduled_rules_begin(store: Store) -> None:
    store.publish(SCHEDULED)
    store.load()
    engine = engine_with_clock(store)
    set_clock(store, START - 1)
    assert [engine.check(SEARCH).allowed for _ in range(6)] == [True] * 6
    set_clock(store, START)
    decision = engine.check(SEARCH)
    assert (decision.allowed, decision.limits[0].remaining) == (False, 0)
    set_clock(store, START + HOUR - 2)
    assert not engine.check(SEARCH).allowed
    set_clock(store, START + HOUR)
    assert engine.check(SEARCH, consume=False).limits[0].remaining == 7


def test_endpoints_that_begin_later_are_found_from_then_on(store: Store) -> None:
    later = replace(rules(9), endpoints=(*rules(9).endpoints, Endpoint("later", "Later", cost=3)))
    store.publish(replace(with_quota(9), variants=(Variant(later, "monday", START),)))
    store.load()
    engine = engine_with_clock(store)
    found = []
    for now in (START - 1, START):
        set_clock(store, now)
        decision = engine.check(CheckRequest("acme", "later"), consume=False)
        found.append((decision.endpoint, decision.cost))
    assert found == [(None, 1), ("later", 3)]


def test_the_limits_of_a_client_and_the_explanation_are_those_that_apply(store: Store) -> None:
    store.publish(SCHEDULED)
    store.load()
    engine = engine_with_clock(store)
    for now, (quota, _) in MOMENTS:
        set_clock(store, now)
        (state,) = engine.peek_client("acme").decision.limits
        explanation = explain(engine, SEARCH)
        assert state.limit.quota == quota
        assert explanation.policies[0].policy.limits[0].quota == quota
        assert explanation.policies[0].limits[0].limit.quota == quota


@pytest.fixture
def shared(store: Store) -> Store:
    """The clients “acme” and “below” are in the share, by the tag of their root; “other” is not."""
    store.publish(SHARED)
    store.load(
        record("acme", 1, tags=("pilot",)), record("below", 1, parent="acme"), record("other", 1, tags=("west",))
    )
    return store


def test_a_share_of_the_clients_has_other_rules(shared: Store) -> None:
    engine = shared.engine()
    assert [decided(engine, client) for client in ("acme", "other", "unregistered")] == [
        (5, "pilot"),
        (9, None),
        (9, None),
    ]


def test_a_client_below_a_root_is_in_the_group_of_the_root(shared: Store) -> None:
    assert decided(shared.engine(), "below") == (5, "pilot")


def test_the_tag_decides_as_soon_as_it_is_published(shared: Store) -> None:
    engine = shared.engine()
    assert decided(engine, "other") == (9, None)
    shared.put(record("other", 2, tags=("pilot",)))
    assert decided(engine, "other") == (5, "pilot")


def test_batches_contain_clients_of_both_groups(shared: Store) -> None:
    requests = [CheckRequest(client, "search") for client in ("acme", "other") * 8]
    decisions = shared.engine().check_in_order(requests)
    assert [decision.allowed for decision in decisions] == [True] * 10 + [False, True] * 3
    assert {decision.change for decision in decisions[::2]} == {"pilot"}


def test_counters_continue_when_a_share_begins_and_ends(store: Store) -> None:
    store.load(record("acme", 1, tags=("pilot",)))
    remaining = []
    engine = store.engine()
    for published in (with_quota(9), SHARED, with_quota(9)):
        store.publish(published)
        remaining.append(engine.check(SEARCH).limits[0].remaining)
    assert remaining == [8, 3, 6]


def test_without_the_store_the_group_still_decides(shared: Store) -> None:
    engine = shared.engine()
    assert decided(engine, "acme") == (5, "pilot")
    shared.redis.flushall()
    decision = engine.check(SEARCH)
    assert (decision.degraded, decision.change, decision.limits[0].limit.quota) == (True, "pilot", 5)
