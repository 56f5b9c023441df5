"""Calendar limits in a time zone that this machine, with an older database than the publisher's, does not have."""

import pytest

from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.enums import Algorithm, OnStoreFailure, Period, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.engine import CheckRequest, RulesetMissing
from tests.engine.rules import per_hour, policy, record, ruleset, simple
from tests.support.servers import Store

SEARCH = CheckRequest("acme", "search")
UNKNOWN = "Mars/Olympus_Mons"


def daily(zone: str, quota: int = 2) -> Limit:
    return Limit(quota, None, Algorithm.CALENDAR, period=Period.DAY, timezone=zone)


def test_a_process_keeps_its_rules_if_the_new_ones_have_an_unknown_time_zone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.publish(simple(2))
    store.load()
    engine = store.engine()
    assert engine.check(SEARCH).allowed
    store.publish(ruleset(policy("day", daily(UNKNOWN))))
    answers = [engine.check(SEARCH), *engine.check_in_order([SEARCH, SEARCH])]
    assert {(answer.reason, answer.degraded, answer.ruleset) for answer in answers} == {
        (Reason.STORE_UNAVAILABLE, True, 1)
    }
    readiness = engine.readiness()
    assert (readiness.ready, readiness.missing) == (True, ("ruleset",))
    assert "time zone “Mars/Olympus_Mons”, which this machine does not have" in readiness.problems[0]
    assert len([line for line in caplog.messages if line.startswith("ruleset_unreadable")]) == 1
    store.publish(simple(3))
    assert engine.check(SEARCH, consume=False).limits[0].limit.quota == 3


def test_rules_with_an_unknown_time_zone_are_not_read_for_every_check(store: Store) -> None:
    store.publish(simple(2))
    store.load()
    engine = store.engine()
    engine.check(SEARCH)
    store.publish(ruleset(policy("day", daily(UNKNOWN))))
    engine.check(SEARCH)
    store.redis.config_resetstat()
    for _ in range(5):
        engine.check(SEARCH)
    assert "cmdstat_get" not in store.redis.info("commandstats")


def test_a_process_without_earlier_rules_reports_why_it_has_none(store: Store) -> None:
    store.publish(ruleset(policy("day", daily(UNKNOWN))))
    engine = store.engine()
    with pytest.raises(RulesetMissing, match="Mars/Olympus_Mons"):
        engine.check(SEARCH)
    assert not engine.readiness().ready


@pytest.mark.parametrize("answer", OnStoreFailure)
def test_an_override_with_an_unknown_time_zone_is_decided_by_the_fallback_of_its_policy(
    store: Store, answer: OnStoreFailure, caplog: pytest.LogCaptureFixture
) -> None:
    store.publish(ruleset(policy("all", per_hour(1), on_store_failure=answer)))
    store.load(record("acme", 1, overrides=(Override("all", (daily(UNKNOWN, 9),)),)), record("other", 2))
    engine = store.engine()
    other = CheckRequest("other", "search")
    found = engine.check_in_order([other, SEARCH, other, SEARCH])
    assert [decision.degraded for decision in found] == [False, True, False, True]
    assert [found[0].allowed, found[2].allowed] == [True, False]
    assert [found[1].allowed, found[3].allowed] == {
        OnStoreFailure.ALLOW: [True, True],
        OnStoreFailure.DENY: [False, False],
        OnStoreFailure.LOCAL: [True, False],
    }[answer]
    assert engine.check(SEARCH).degraded
    assert not any("acme" in line for line in caplog.messages)
    assert sum("time zone" in line for line in caplog.messages) <= 1


def test_the_limits_of_a_client_with_such_an_override_are_marked_degraded(store: Store) -> None:
    store.publish(ruleset(policy("all", per_hour(1))))
    store.load(record("acme", 1, overrides=(Override("all", (daily(UNKNOWN, 9),)),)))
    assert store.engine().peek_client("acme").decision.degraded
