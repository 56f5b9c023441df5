"""Metrics of reservations: totals of settlements from the database, and unsettled reservations from the store."""

from typing import Any

import pytest
from django.db import InterfaceError, connection
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from pytest_django import Settings

from limits.models import Settlement, SettlementDay, SettlementHour
from limits.monitoring.drain import drain
from limits.monitoring.erasure import erase
from limits.store.open_reservations import Unsettled, unsettled
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_enforcer.store.keys import SHARDS, shard_of
from tests.api.conftest import CLIENTS
from tests.engine.conftest import anywhere, masters
from tests.metrics.scraping import Scraper, value
from tests.metrics.test_page import WATCHED
from tests.monitoring.counting import count_settlements
from tests.publishing.platforms import Platform
from tests.support.counts import HasCounts
from tests.support.lasting_clusters import LastingCluster
from tests.support.servers import Store

__all__ = ["anywhere", "masters"]

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = 1_000_000
DAY = 86_400 * SECOND
FIGURES = ("reserved_cost", "settlements", "settled_cost", "refunded_cost", "debited_cost", "overdrawn_cost")


@pytest.fixture
def shop(store: Store) -> Store:
    store.publish(WATCHED)
    store.load(*CLIENTS)
    return store


def totals(scraper: Scraper, **labels: str) -> tuple[float, ...]:
    found = scraper.scrape()
    return tuple(value(found, f"ratelimit_{name}_total", **labels) for name in FIGURES)


# -- counters


@pytest.mark.usefixtures("shop")
def test_settlements_are_counters_by_endpoint(platform: Platform, scraper: Scraper) -> None:
    count_settlements(platform, "acme", (100, 2, 90, 30, 20, 5))
    count_settlements(platform, "globex", (10, 1, 10, 0, 0, 0))
    count_settlements(platform, "globex", (0, 0, 0, 0, 7, 7), endpoint="")
    assert totals(scraper) == (0, 0, 0, 0, 0, 0)
    drain()
    assert totals(scraper) == (110, 3, 100, 30, 27, 12)
    assert totals(scraper, endpoint="search") == (110, 3, 100, 30, 20, 5)
    assert totals(scraper, endpoint="(unknown)") == (0, 0, 0, 0, 7, 7)
    assert not [labels for (name, labels) in scraper.scrape() if {"acme", "globex"} & set(dict(labels).values())]


@pytest.mark.usefixtures("shop")
def test_counters_do_not_decrease_when_rows_are_removed(platform: Platform, scraper: Scraper) -> None:
    count_settlements(platform, "acme", (100, 2, 90, 30, 20, 5))
    drain()
    erase("acme")
    for model in (Settlement, SettlementHour, SettlementDay):
        model.objects.all().delete()
    assert totals(scraper) == (100, 2, 90, 30, 20, 5)


@pytest.mark.usefixtures("shop", "watched")
def test_the_counters_are_valid_openmetrics(platform: Platform) -> None:
    count_settlements(platform, "acme", (100, 2, 90, 30, 20, 5))
    drain()
    headers = {"authorization": "Bearer watcher", "accept": "application/openmetrics-text;version=1.0.0"}
    text = Client().get("/metrics", headers=headers).content.decode()
    found = {family.name: family for family in parse_openmetrics(text)}
    assert {found[f"ratelimit_{name}"].type for name in FIGURES} == {"counter"}


@pytest.mark.usefixtures("shop")
def test_without_the_database_the_counters_are_left_out(scraper: Scraper, platform: Platform) -> None:
    count_settlements(platform, "acme", (100, 2, 90, 30, 20, 5))
    drain()

    def unavailable(*arguments: Any) -> Any:
        raise InterfaceError("connection lost")

    with connection.execute_wrapper(unavailable):
        found = scraper.scrape()
    assert value(found, "ratelimit_database_up") == 0
    assert not [name for name, _ in found if name in {f"ratelimit_{each}_total" for each in FIGURES}]


# -- gauges


def now_at(store: HasCounts) -> int:
    """The store's time, in microseconds since 1970."""
    seconds, micro = store.redis.eval("return redis.call('TIME')", 1, store.keys.open_reservations[0])
    return int(seconds) * SECOND + int(micro)


def reserve(store: HasCounts, shard: int, **expiring: int) -> None:
    """Adds unsettled reservations: id → when it expires, in microseconds since 1970."""
    store.redis.zadd(store.keys.open_reservations[shard], expiring)


def test_unsettled_reservations_of_all_shards_are_open_or_expired(anywhere: Store) -> None:
    assert unsettled(anywhere.redis, anywhere.keys) == Unsettled(0, 0)
    now = now_at(anywhere)
    for shard in range(SHARDS):
        reserve(anywhere, shard, a=now + 600 * SECOND, b=now - SECOND)
    reserve(anywhere, 7, c=now + 3_600 * SECOND, d=now + 60 * SECOND, e=now - DAY + 600 * SECOND)
    assert unsettled(anywhere.redis, anywhere.keys) == Unsettled(SHARDS + 2, SHARDS + 1)
    anywhere.redis.zrem(anywhere.keys.open_reservations[7], "c", "e")
    assert unsettled(anywhere.redis, anywhere.keys) == Unsettled(SHARDS + 1, SHARDS)


def test_reservations_that_can_no_longer_be_settled_are_not_counted(anywhere: Store) -> None:
    now = now_at(anywhere)
    reserve(anywhere, 3, ended=now - DAY, long_ago=now - 30 * DAY, settleable=now - DAY + 600 * SECOND)
    assert unsettled(anywhere.redis, anywhere.keys) == Unsettled(0, 1)


def test_a_key_of_another_type_counts_as_empty(anywhere: Store) -> None:
    anywhere.redis.set(anywhere.keys.open_reservations[5], "damaged")
    reserve(anywhere, 6, a=now_at(anywhere) + 600 * SECOND)
    assert unsettled(anywhere.redis, anywhere.keys) == Unsettled(1, 0)


def test_the_numbers_are_unknown_while_a_master_is_unavailable(store: Store, masters: LastingCluster) -> None:
    cluster = masters.ready()
    on_cluster = Store(cluster.url, store.keys.namespace)
    reserve(on_cluster, 0, a=now_at(on_cluster) + 600 * SECOND)
    cluster.masters[-1].kill()
    with pytest.raises(StoreUnavailable):
        unsettled(on_cluster.redis, on_cluster.keys)


def test_unsettled_reservations_are_gauges(shop: Store, platform: Platform, scraper: Scraper) -> None:
    now, shard = now_at(platform), shard_of("acme")
    reserve(platform, shard, a=now + 600 * SECOND, b=now + 600 * SECOND, c=now - SECOND)
    found = scraper.scrape()
    assert value(found, "ratelimit_reservations_open") == 2
    assert value(found, "ratelimit_reservations_expired") == 1


def test_without_the_store_the_gauges_are_left_out(settings: Settings, platform: Platform) -> None:
    def scraped() -> bytes:
        settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"METRICS_NETWORKS": ["127.0.0.0/8"]}
        return Client().get("/metrics").content

    assert b"ratelimit_reservations_open 0.0" in scraped()
    platform.make_store_unavailable()
    text = scraped()
    assert b"ratelimit_store_up 0.0" in text
    assert b"ratelimit_reservations" not in text
