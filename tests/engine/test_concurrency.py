"""Exact quotas under concurrency: many threads on several servers with one Redis."""

from concurrent.futures import ThreadPoolExecutor

from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.engine import CheckRequest
from tests.engine.rules import per_hour, policy, ruleset
from tests.support.servers import Store


def admitted(store: Store, requests: int, threads: int) -> int:
    engines = [store.engine(), store.engine()]
    with ThreadPoolExecutor(threads) as pool:
        answers = pool.map(lambda n: engines[n % 2].check(CheckRequest("acme", "search")).allowed, range(requests))
        return sum(answers)


def test_a_quota_of_100_admits_exactly_100_of_400(store: Store) -> None:
    store.publish(ruleset(policy("all", per_hour(100))))
    store.load()
    assert admitted(store, 400, 32) == 100


def test_the_strictest_of_several_limits_decides_and_all_consume_the_same(store: Store) -> None:
    store.publish(ruleset(policy("one", per_hour(100), Limit(70, 7_200)), policy("two", per_hour(90))))
    store.load()
    assert admitted(store, 400, 32) == 70
    peek = store.engine().check(CheckRequest("acme", "search"), consume=False)
    assert {state.name: state.remaining for state in peek.limits} == {
        "one:3600s": 30,
        "one:7200s": 0,
        "two:3600s": 20,
    }
