"""A check that begins after a publication or a client's change has returned is decided by the new data."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ratelimit_enforcer.domain.enums import ClientStatus, Reason, Scope
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset
from ratelimit_enforcer.engine import CheckRequest, Engine
from tests.engine.rules import per_hour, policy, record, ruleset, simple
from tests.support.servers import Store

SEARCH = CheckRequest("acme", "search")


def under_load(engines: list[Engine], changes: Callable[[Callable[[object], None]], None], seen: Callable[..., object]):
    """Runs ``changes`` while four threads send checks on each engine. Returns a pair for each check:
    (the latest change announced before the check began, the value with which it was decided)."""
    announced: list[object] = [None]
    stop = threading.Event()

    def check(engine: Engine) -> list[tuple[object, object]]:
        found = []
        while not stop.is_set():
            before = announced[0]
            found.append((before, seen(engine.check(SEARCH))))
        return found

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(check, engine) for engine in engines for _ in range(4)]
        changes(lambda value: announced.__setitem__(0, value))
        stop.set()
    return [pair for future in running for pair in future.result()]


def test_twenty_publications_under_load_on_two_servers(store: Store) -> None:
    store.publish(simple(10**9))
    store.load()

    def changes(announce: Callable[[object], None]) -> None:
        for number in range(20):
            announce(store.publish(simple(10**9 - number)).sequence)

    pairs = under_load([store.engine(), store.engine()], changes, lambda decision: decision.ruleset)
    assert len(pairs) > 20
    assert [pair for pair in pairs if pair[0] is not None and pair[1] < pair[0]] == []


def test_twenty_changes_of_one_client_under_load_on_two_servers(store: Store) -> None:
    plans = ["free", "pro"]
    store.publish(ruleset(*(policy(plan, per_hour(10**9), plan=plan) for plan in plans)))
    store.load(record("acme", 1, plan="free"))
    history = {1: "free"}

    def changes(announce: Callable[[object], None]) -> None:
        for revision in range(2, 22):
            history[revision] = plans[revision % 2]
            store.put(record("acme", revision, plan=history[revision]))
            announce(revision)

    engines = [store.engine(), store.engine()]
    pairs = under_load(engines, changes, lambda decision: decision.plan)
    stale = [(revision, plan) for revision, plan in pairs if revision == 21 and plan != history[21]]
    assert stale == []
    assert [engine.check(SEARCH).plan for engine in engines] == [history[21]] * 2


def test_a_changed_plan_applies_to_the_next_check(store: Store) -> None:
    plans = ["free", "pro"]
    store.publish(ruleset(*(policy(plan, per_hour(10**9), plan=plan) for plan in plans)))
    store.load()
    engines = [store.engine(), store.engine()]
    for revision in range(1, 21):
        store.put(record("acme", revision, plan=plans[revision % 2]))
        assert [engine.check(SEARCH).plan for engine in engines] == [plans[revision % 2]] * 2


def test_a_deleted_client_is_immediately_on_the_default_plan(store: Store) -> None:
    store.publish(simple(9))
    store.load(record("acme", 1, status=ClientStatus.BLOCKED))
    engine = store.engine()
    assert engine.check(SEARCH).reason is Reason.BLOCKED
    store.put(record("acme", 2, deleted=True))
    assert engine.check(SEARCH).allowed


def test_an_older_record_that_arrives_late_does_not_restore_a_deleted_client(store: Store) -> None:
    store.publish(simple(9))
    store.load()
    store.put(record("acme", 2, deleted=True))
    store.put(record("acme", 1, status=ClientStatus.BLOCKED))
    assert store.engine().check(SEARCH).allowed


def test_the_guard_is_called_again_with_the_new_rules(store: Store) -> None:
    token = ApiToken("shop", "digest", frozenset({Scope.CHECK}))

    class Revoked(Exception):
        pass

    def guard(rules: Ruleset) -> None:
        if token not in rules.tokens:
            raise Revoked

    store.publish(ruleset(policy("all", per_hour(9)), tokens=(token,)))
    store.load()
    engine = store.engine()
    assert engine.check(SEARCH, guard=guard).allowed
    store.publish(ruleset(policy("all", per_hour(9))))
    with pytest.raises(Revoked):
        engine.check(SEARCH, guard=guard)


def test_a_ruleset_of_another_database_invalidates_the_cached_clients(store: Store) -> None:
    store.publish(simple(9))
    store.load(record("acme", 7, status=ClientStatus.BLOCKED))
    engine = store.engine()
    engine.check(SEARCH)
    store.epoch = "other"
    store.publish(simple(9))
    store.load(record("acme", 7))
    assert engine.check(SEARCH).allowed
