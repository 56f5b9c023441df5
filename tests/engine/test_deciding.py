"""Decisions of one server."""

import pytest

from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.engine import CheckRequest, Engine, RulesetMissing
from ratelimit_enforcer.engine.layouts import MAX_POLICIES_PER_CALL
from tests.engine.rules import SHADOW, per_hour, policy, record, ruleset, simple
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store

SEARCH = CheckRequest("acme", "search")


def remaining(engine: Engine, request: CheckRequest = SEARCH) -> dict[str, int]:
    """Remaining quota of each limit, by a peek."""
    return {state.name: state.remaining for state in engine.check(request, consume=False).limits}


def test_a_check_before_the_first_publication_raises_an_error(store: Store) -> None:
    with pytest.raises(RulesetMissing):
        store.engine().check(SEARCH)


def test_the_quota_is_admitted_and_no_more(store: Store) -> None:
    store.publish(simple(3))
    store.load()
    engine = store.engine()
    answers = [engine.check(SEARCH) for _ in range(5)]
    assert [answer.allowed for answer in answers] == [True, True, True, False, False]
    assert [answer.limits[0].remaining for answer in answers] == [2, 1, 0, 0, 0]
    assert answers[3].reason is Reason.LIMIT
    assert 3_599 < (answers[3].retry_after or 0) <= 3_600


def test_a_denied_request_consumes_from_no_limit(store: Store) -> None:
    wide, narrow = per_hour(100), Limit(2, 60)
    store.publish(ruleset(policy("one", wide, narrow), policy("two", per_hour(90))))
    store.load()
    engine = store.engine()
    for _ in range(10):
        engine.check(SEARCH)
    assert remaining(engine) == {"one:3600s": 98, "one:60s": 0, "two:3600s": 88}


def test_a_peek_consumes_nothing(store: Store) -> None:
    store.publish(simple(3))
    store.load()
    engine = store.engine()
    assert engine.check(SEARCH, consume=False).allowed
    assert remaining(engine) == {"all:3600s": 3}


def test_a_cost_above_the_quota_has_its_own_reason(store: Store) -> None:
    store.publish(simple(3))
    store.load()
    answer = store.engine().check(CheckRequest("acme", "search", cost=4))
    assert answer.reason is Reason.COST_EXCEEDS_QUOTA
    assert answer.retry_after is None


def test_the_cost_defaults_to_that_of_the_endpoint(store: Store) -> None:
    store.publish(simple(100))
    store.load()
    engine = store.engine()
    assert engine.check(CheckRequest("acme", "orders")).cost == 5
    assert engine.check(CheckRequest("acme", "orders", cost=2)).cost == 2
    assert engine.check(CheckRequest("acme", method="POST", path="/orders")).endpoint == "orders"


def test_policies_without_an_endpoint_apply_to_unknown_endpoints(store: Store) -> None:
    store.publish(ruleset(policy("all", per_hour(9)), policy("search", per_hour(5), endpoint="search")))
    store.load()
    answer = store.engine().check(CheckRequest("acme", "no-such-thing"))
    assert answer.endpoint is None
    assert [state.policy for state in answer.limits] == ["all"]


def test_policies_are_selected_by_plan(store: Store) -> None:
    store.publish(ruleset(policy("free", per_hour(1), plan="free"), policy("pro", per_hour(2), plan="pro")))
    store.load(record("acme", 1, plan="pro"))
    engine = store.engine()
    assert remaining(engine) == {"pro:3600s": 2}
    assert remaining(engine, CheckRequest("stranger", "search")) == {"free:3600s": 1}


def test_blocked_and_exempt_clients_are_decided_regardless_of_limits(store: Store) -> None:
    store.publish(simple(0))
    store.load(record("bad", 1, status=ClientStatus.BLOCKED), record("good", 2, status=ClientStatus.EXEMPT))
    engine = store.engine()
    bad, good = engine.check(CheckRequest("bad", "search")), engine.check(CheckRequest("good", "search"))
    assert (bad.allowed, bad.reason, bad.limits) == (False, Reason.BLOCKED, ())
    assert (good.allowed, good.reason, good.limits) == (True, Reason.EXEMPT, ())


def test_a_shadow_policy_reports_and_never_denies(store: Store) -> None:
    store.publish(ruleset(policy("trial", per_hour(1), mode=SHADOW), policy("all", per_hour(5))))
    store.load()
    engine = store.engine()
    answers = [engine.check(SEARCH) for _ in range(3)]
    assert all(answer.allowed for answer in answers)
    trial = [next(state for state in answer.limits if state.policy == "trial") for answer in answers]
    assert [state.allowed for state in trial] == [True, False, False]


def test_a_shadow_policy_consumes_only_what_is_admitted(store: Store) -> None:
    store.publish(ruleset(policy("trial", per_hour(10), mode=SHADOW), policy("all", per_hour(2))))
    store.load()
    engine = store.engine()
    for _ in range(5):
        engine.check(SEARCH)
    assert remaining(engine) == {"all:3600s": 0, "trial:3600s": 8}


def test_the_emergency_switch_puts_every_policy_into_shadow_mode(store: Store) -> None:
    store.publish(ruleset(policy("all", per_hour(0)), shadow_all=True))
    store.load()
    answer = store.engine().check(SEARCH)
    assert answer.allowed
    assert [(state.mode, state.allowed) for state in answer.limits] == [(Mode.SHADOW, False)]


def test_a_disabled_policy_is_not_evaluated(store: Store) -> None:
    store.publish(ruleset(policy("all", per_hour(0), mode=Mode.DISABLED)))
    store.load()
    assert store.engine().check(SEARCH).limits == ()


def test_an_override_replaces_the_limits_of_its_policy(store: Store) -> None:
    store.publish(simple(1))
    store.load(record("acme", 1, overrides=(Override("all", (per_hour(7),)),)))
    assert remaining(store.engine()) == {"all:3600s": 7}


def test_an_override_starts_and_ends_by_the_clock_of_the_store(store: Store) -> None:
    store.publish(simple(1))
    seconds, rest = store.redis.time()
    now = seconds * 1_000_000 + rest
    week = 7 * 86_400 * 1_000_000
    past = Override("all", (per_hour(5),), now - 2 * week, now - week)
    present = Override("all", (per_hour(6),), now - week, now + week)
    future = Override("all", (per_hour(7),), now + week, None)
    store.load(record("acme", 1, overrides=(past, present, future)))
    assert remaining(store.engine()) == {"all:3600s": 6}


def test_a_server_with_a_wrong_clock_decides_by_the_clock_of_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(simple(1))
    seconds, _ = store.redis.time()
    ends = (seconds + 86_400) * 1_000_000
    store.load(record("acme", 1, overrides=(Override("all", (per_hour(6),), None, ends),)))
    monkeypatch.setattr("ratelimit_enforcer.engine.ruleset_cache.time.time_ns", lambda: (seconds + 10**6) * 10**9)
    assert remaining(store.engine()) == {"all:3600s": 6}


def test_a_changed_quota_keeps_the_usage(store: Store) -> None:
    engine = store.engine()
    left = []
    for quota, checks in ((100, 2), (10, 2), (200, 1)):
        store.publish(ruleset(policy("search", per_hour(quota), Limit(quota, 3_600, Algorithm.TOKEN_BUCKET))))
        if not left:
            store.load()
        left += [[state.remaining for state in engine.check(SEARCH).limits] for _ in range(checks)]
    assert left == [[99, 99], [98, 98], [7, 7], [6, 6], [195, 195]]


def test_two_platforms_on_one_redis_are_isolated_by_namespace(store: Store) -> None:
    other = Store(store.url, f"{store.keys.namespace}-other")
    store.publish(simple(1))
    store.load()
    other.publish(simple(5))
    other.load()
    assert store.engine().check(SEARCH).limits[0].remaining == 0
    assert other.engine().check(SEARCH).limits[0].remaining == 4


def test_a_check_sends_one_redis_command(store: Store) -> None:
    store.publish(ruleset(policy("one", per_hour(9), Limit(5, 60)), policy("two", per_hour(8))))
    store.load(record("acme", 1, plan="pro"))
    engine = store.engine()
    engine.check(SEARCH)
    wait_for_heartbeat(engine)
    store.redis.config_resetstat()
    for _ in range(3):
        engine.check(SEARCH)
    stats = store.redis.info("commandstats")
    assert stats.pop("cmdstat_evalsha")["calls"] == 3
    called_by_the_script = {
        "cmdstat_time",
        "cmdstat_hmget",
        "cmdstat_set",
        "cmdstat_hlen",
        "cmdstat_hincrby",
        "cmdstat_get",
    }
    assert set(stats) <= called_by_the_script | {"cmdstat_config|resetstat", "cmdstat_config", "cmdstat_info"}


def test_a_counter_expires_after_its_window(store: Store) -> None:
    store.publish(ruleset(policy("one", Limit(9, 60), Limit(10, 600, Algorithm.TOKEN_BUCKET))))
    store.load()
    store.engine().check(SEARCH)
    counters = list(store.redis.scan_iter(f"{store.keys.namespace}:*:n:*"))
    assert [60_000 - 5_000 < store.redis.pttl(key) <= 60_000 * 9 / 8 + 2 for key in counters] == [True]


def test_a_peek_at_a_client_with_more_policies_than_fit_into_one_call(store: Store) -> None:
    """Only the last policy denies; the policies of the first call admit."""
    count = MAX_POLICIES_PER_CALL + 1
    quotas = [9] * MAX_POLICIES_PER_CALL + [0]
    store.publish(ruleset(*(policy(f"p{number:03}", per_hour(quota)) for number, quota in enumerate(quotas))))
    store.load()
    standing = store.engine().peek_client("acme")
    assert [state.limit.quota for state in standing.decision.limits] == quotas
    assert len(standing.endpoints) == count
    assert [state.policy for state in standing.decision.denying] == [f"p{MAX_POLICIES_PER_CALL:03}"]
