"""What a request over gRPC brings along: the domain of its endpoints, and limits of its own."""

from dataclasses import replace

import pytest

from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest
from tests.engine.rules import per_hour, policy, record, ruleset, simple
from tests.support.servers import Store

ENDPOINTS = (
    Endpoint("blog", "Blog", (Route("GET", "/blog"),)),
    Endpoint("shop-eu-search", "Search", (Route("GET", "/eu/search"),)),
    Endpoint("shop-search", "Search", (Route("GET", "/search"),)),
    Endpoint("site", "All", (Route("*", "/*"),)),
)


@pytest.mark.parametrize(
    ("domain", "asked", "found"),
    [
        ("", {"path": "/search"}, "shop-search"),
        ("shop", {"path": "/search"}, "shop-search"),
        ("shop", {"path": "/eu/search"}, "shop-eu-search"),
        ("shop-eu", {"path": "/eu/search"}, "shop-eu-search"),
        ("shop-eu", {"path": "/search"}, None),
        ("site", {"path": "/search"}, "site"),
        ("shop", {"path": "/blog"}, None),
        ("sho", {"path": "/search"}, None),
        ("shop", {"endpoint": "search"}, "shop-search"),
        ("shop", {"endpoint": "shop-search"}, "shop-search"),
        ("shop", {"endpoint": "eu-search"}, "shop-eu-search"),
        ("blog", {"endpoint": "blog"}, "blog"),
        ("shop", {"endpoint": "blog"}, None),
        ("nowhere", {"endpoint": "blog"}, None),
        ("", {"endpoint": "search"}, None),
    ],
)
def test_a_domain_has_the_endpoints_whose_slugs_begin_with_it(
    store: Store, domain: str, asked: dict[str, str], found: str | None
) -> None:
    store.publish(replace(simple(9), endpoints=ENDPOINTS))
    store.load()
    request = CheckRequest("acme", domain=domain, method="GET", **asked)
    assert store.engine().check(request).endpoint == found


RULES = ruleset(
    policy("search", per_hour(2), endpoint="search"),
    policy("everywhere", per_hour(9)),
    policy("together", per_hour(8), endpoint="search", partition=Partition.GLOBAL),
)
SEARCH = CheckRequest("acme", "search")
WIDE = SEARCH._replace(limit=Limit(5, 3_600))


def quotas(store: Store, request: CheckRequest, rules: Ruleset = RULES) -> dict[str, int]:
    store.publish(rules)
    return {state.name: state.limit.quota for state in store.engine().check(request).limits}


def test_the_limit_of_a_request_replaces_those_of_the_endpoint_that_count_each_client(store: Store) -> None:
    store.load()
    assert quotas(store, WIDE) == {"search:3600s": 5, "everywhere:3600s": 9, "together:3600s": 8}


def test_the_limit_of_a_request_replaces_overrides_too(store: Store) -> None:
    overrides = (Override("search", (per_hour(3),)), Override("everywhere", (per_hour(4),)))
    store.load(record("acme", 1, overrides=overrides))
    assert quotas(store, WIDE) == {"search:3600s": 5, "everywhere:3600s": 4, "together:3600s": 8}


def test_the_limit_of_a_request_applies_to_no_other_endpoint(store: Store) -> None:
    store.load()
    assert quotas(store, WIDE._replace(endpoint="orders")) == {"everywhere:3600s": 9}
    assert quotas(store, WIDE._replace(endpoint="unknown")) == {"everywhere:3600s": 9}


def test_the_limit_of_a_request_counts_what_the_policy_has_counted(store: Store) -> None:
    store.publish(RULES)
    store.load()
    engine = store.engine()
    admitted = [engine.check(request).allowed for request in [SEARCH, SEARCH, SEARCH, WIDE, WIDE, WIDE, WIDE, SEARCH]]
    assert admitted == [True, True, False, True, True, True, False, False]


def test_a_limit_with_another_window_starts_new_counters_like_a_changed_policy(store: Store) -> None:
    store.publish(RULES)
    store.load()
    engine = store.engine()
    other = SEARCH._replace(limit=Limit(5, 60))
    admitted = [engine.check(request).allowed for request in [SEARCH, SEARCH, SEARCH, other, SEARCH]]
    assert admitted == [True, True, False, True, True]
