"""Floods of requests: few rows for one client, bounded memory for many."""

import pytest

from limits.models import Usage
from limits.monitoring.drain import drain
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest
from ratelimit_enforcer.store.decider import Decider
from ratelimit_enforcer.store.keys import shard_of
from tests.publishing.platforms import Platform
from tests.support.servers import Store

pytestmark = pytest.mark.django_db

BOUND = 4


@pytest.fixture
def store(platform: Platform) -> Store:
    store = Store(platform.url, platform.namespace)
    store.publish(
        Ruleset(plans=(Plan("free", "Free"),), default_plan="free", policies=(Policy("no", (Limit(0, 60),)),))
    )
    store.load()
    return store


def test_a_flood_of_one_client_is_few_rows_and_constant_memory(store: Store) -> None:
    engine, key = store.engine(), store.keys.usage[shard_of("acme")]
    sizes = []
    for _ in range(3):
        for _ in range(1_000):
            engine.check(CheckRequest("acme", "search"))
        sizes.append(store.redis.memory_usage(key))
    drain()
    assert sizes[2] <= 2 * sizes[0]
    assert Usage.objects.count() <= 2
    assert sum(Usage.objects.values_list("requests", flat=True)) == 3_000


def test_a_flood_of_many_clients_is_bounded_and_reported(store: Store) -> None:
    engine = store.engine(cache_size=10)
    assert isinstance(engine._decider, Decider)
    engine._decider._counts_per_shard = BOUND
    for number in range(6_000):
        engine.check(CheckRequest(f"client {number}", "search"))
    held = sum(store.redis.hlen(key) for key in store.keys.usage)
    assert held <= 256 * (BOUND + 2 * 2)
    drain()
    assert sum(Usage.objects.values_list("requests", flat=True)) == 6_000
    assert "(other)" in {row.client_name for row in Usage.objects.all()}
