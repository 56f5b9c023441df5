"""The metrics page: its content, and access to it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from pytest_django import Settings

from limits.models import Alert
from limits.monitoring.drain import drain
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import CLIENTS, SHOP, token
from tests.metrics.scraping import Scraper, value
from tests.models import rows
from tests.publishing.platforms import Platform
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

WATCHED = replace(SHOP, tokens=(*SHOP.tokens, token("watcher", Scope.METRICS)))


@pytest.fixture
def shop(store: Store) -> Store:
    store.publish(WATCHED)
    store.load(*CLIENTS)
    return store


def ask(client: str, endpoint: str = "search", times: int = 1, **options: Any) -> None:
    for _ in range(times):
        get_engine().check(CheckRequest(client, endpoint), **options)


@pytest.mark.usefixtures("shop")
def test_decisions_by_endpoint_and_outcome(scraper: Scraper) -> None:
    ask("ann", times=5)
    ask("ann", "no-such-endpoint")
    ask("mallory")
    ask("vip", times=2)
    ask("bob", consume=False)
    found = scraper.scrape()
    decisions = {
        tuple(dict(labels).values()): number
        for (name, labels), number in found.items()
        if name == "ratelimit_decisions_total"
    }
    expected = {
        frozenset(("search", "admitted")): 3,
        frozenset(("search", "denied")): 2,
        frozenset(("(unknown)", "admitted")): 1,
        frozenset(("search", "blocked")): 1,
        frozenset(("search", "exempt")): 2,
    }
    assert {frozenset(labels): number for labels, number in decisions.items()} == expected


@pytest.mark.usefixtures("shop")
def test_decisions_by_policy(scraper: Scraper) -> None:
    ask("ann", times=5)
    found = scraper.scrape()

    def said(policy: str, outcome: str) -> float:
        return value(found, "ratelimit_policy_decisions_total", endpoint="search", policy=policy, outcome=outcome)

    assert (said("free-search", "admitted"), said("free-search", "denied")) == (3, 2)
    assert (said("trial", "admitted"), said("trial", "would_deny")) == (1, 4)


@pytest.mark.usefixtures("shop")
def test_durations_of_checks_batches_and_calls(scraper: Scraper) -> None:
    ask("ann", times=3)
    get_engine().check_in_order([CheckRequest("ann", "search")] * 4)
    found = scraper.scrape()
    assert value(found, "ratelimit_decision_duration_seconds_count", kind="check") == 3
    assert value(found, "ratelimit_decision_duration_seconds_count", kind="batch") == 1
    assert value(found, "ratelimit_decision_duration_seconds_sum", kind="check") > 0
    assert value(found, "ratelimit_store_call_duration_seconds_count") >= 4
    assert value(found, "ratelimit_decisions_total") == 7


def test_versions_of_the_process_and_in_force(store: Store, scraper: Scraper) -> None:
    store.publish(WATCHED)
    store.load()
    ask("ann")
    store.publish(replace(WATCHED, policies=()))
    found = scraper.scrape()
    assert value(found, "ratelimit_ruleset_version") == 2
    assert value(found, "ratelimit_ruleset_published_version") == 2
    assert value(found, "ratelimit_ruleset_reloads_total") == 2


def test_metrics_without_the_store(
    redis_server: Callable[..., RedisServer], platform: Platform, scraper: Scraper
) -> None:
    server = redis_server()
    platform.use(server.url)
    shop = Store(server.url, platform.namespace)
    shop.publish(WATCHED)
    shop.load(*CLIENTS)
    ask("ann")
    wait_for_heartbeat()
    server.kill()
    ask("ann", times=3)
    ask("ann", "orders")
    found = scraper.scrape()
    assert value(found, "ratelimit_store_up") == 0
    assert value(found, "ratelimit_store_breaker_open") == 1
    assert value(found, "ratelimit_store_breaker_opened_total") == 1
    assert value(found, "ratelimit_store_errors_total", error="ConnectionError") == 1
    assert value(found, "ratelimit_degraded_decisions_total", endpoint="search", outcome="admitted") == 3
    assert value(found, "ratelimit_decisions_total", endpoint="orders", outcome="unavailable") == 1
    assert not any(name == "ratelimit_ruleset_published_version" for name, _ in found)
    server.start()
    wait_until(lambda: value(scraper.scrape(), "ratelimit_store_breaker_open") == 0)
    assert value(scraper.scrape(), "ratelimit_store_up") == 1


@pytest.mark.usefixtures("shop")
def test_open_alerts_and_lag_of_the_drain(scraper: Scraper) -> None:
    rule = rows.alert_rule()
    Alert.objects.create(rule=rule, group="", opened_at=timezone.now(), highest=60)
    drain()
    found = scraper.scrape()
    assert value(found, "ratelimit_alerts_open") == 1
    assert 0 <= value(found, "ratelimit_drain_lag_seconds") < 60
    assert value(found, "ratelimit_database_up") == 1
    assert value(found, "ratelimit_publication_waiting") == 0


@pytest.mark.usefixtures("shop")
def test_no_label_contains_a_client(scraper: Scraper) -> None:
    for number in range(50):
        ask(f"client-{number}")
    text = str(scraper.scrape())
    assert "client-" not in text


@pytest.mark.usefixtures("shop", "watched")
def test_openmetrics_by_content_negotiation() -> None:
    ask("ann")
    headers = {
        "authorization": "Bearer watcher",
        "accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    }
    response = Client().get("/metrics", headers=headers)
    assert response["Content-Type"].startswith("application/openmetrics-text")
    families = {family.name for family in parse_openmetrics(response.content.decode())}
    assert {"ratelimit_decisions", "ratelimit_alerts_open"} <= families


@pytest.mark.usefixtures("shop", "watched")
@pytest.mark.parametrize(
    "accept", ["", "text/html", "application/openmetrics-text;version=x", ";;=,", "text/plain;version=abc"]
)
def test_any_accept_header_gets_an_answer(accept: str) -> None:
    response = Client().get("/metrics", headers={"authorization": "Bearer watcher", "accept": accept})
    assert response.status_code == 200


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("header", "status"), [("", 401), ("Bearer nobody", 401), ("Bearer checker", 403), ("Bearer watcher", 200)]
)
def test_a_token_with_the_scope(header: str, status: int) -> None:
    assert Client().get("/metrics", headers={"authorization": header}).status_code == status


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("10.1.2.3", {}, 200),
        ("::ffff:10.1.2.3", {}, 200),
        ("fd00::5", {}, 200),
        ("10.2.0.1", {}, 401),
        ("", {}, 401),
        ("10.1.2.3", {"x-forwarded-for": "192.0.2.1"}, 401),
        ("10.1.2.3", {"x-forwarded-for": "10.1.2.3"}, 401),
        ("10.1.2.3", {"forwarded": "for=10.1.2.3"}, 401),
        # An address from a proxy, overwritten by its caller with “X_Forwarded_For:”.
        ("10.1.2.3", {"x-forwarded-for": ""}, 401),
        ("10.1.2.3", {"forwarded": ""}, 401),
        ("10.1.2.3", {"via": ""}, 401),
        ("10.1.2.3", {"x-forwarded-proto": "http"}, 401),
    ],
)
def test_an_allowed_network(address: str, headers: dict[str, str], status: int, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"METRICS_NETWORKS": ["10.1.0.0/16", "fd00::/8"]}
    assert Client(REMOTE_ADDR=address).get("/metrics", headers=headers).status_code == status


@pytest.mark.usefixtures("shop")
def test_an_invalid_network_is_reported(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"METRICS_NETWORKS": ["10.1.0.0/33"]}
    with pytest.raises(ImproperlyConfigured, match=r"METRICS_NETWORKS: '10\.1\.0\.0/33'"):
        Client().get("/metrics")


def test_an_allowed_network_gets_metrics_even_without_the_store(settings: Settings, platform: Platform) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"METRICS_NETWORKS": ["127.0.0.0/8"]}
    platform.make_store_unavailable()
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"METRICS_NETWORKS": ["127.0.0.0/8"]}
    assert b"ratelimit_store_up 0.0" in Client().get("/metrics").content
