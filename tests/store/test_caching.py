"""``CACHES`` of django-redis with Sentinels and a Cluster."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import BaseCache, caches
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.api.conftest import serve
from tests.engine.rules import simple
from tests.support.servers import Store
from tests.support.topologies import ClusterTopology, SentinelTopology


@pytest.fixture(params=[ClusterTopology, SentinelTopology])
def topology(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClusterTopology | SentinelTopology]:
    topology = request.param(tmp_path).start()
    yield topology
    topology.stop()


def configure(settings: Settings, place: str | list[str]) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "limits": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": place,
            "OPTIONS": {"CONNECTION_FACTORY": "ratelimit_enforcer.caching.ConnectionFactory"},
        },
    }


def test_the_cache_and_the_limits_use_the_same_entry_of_caches(
    topology: ClusterTopology | SentinelTopology, settings: Settings
) -> None:
    configure(settings, [topology.url])
    cache: BaseCache = caches["limits"]
    cache.set_many({"a": 1, "b": {"two": 2}}, timeout=60)
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": {"two": 2}}
    assert cache.incr("a") == 2
    cache.delete("b")
    assert cache.get("b") is None

    store = Store(topology.url, f"test-{secrets.token_hex(4)}")
    store.publish(simple(1))
    store.load()
    serve(settings, store)
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"REDIS": "limits"}
    assert [get_engine().check(CheckRequest("ann", "search")).allowed for _ in range(2)] == [True, False]


def test_a_single_server_behaves_as_with_django_redis(redis_url: str, settings: Settings) -> None:
    configure(settings, redis_url)
    caches["limits"].set("a", 1, timeout=5)
    assert caches["limits"].get("a") == 1


def test_a_location_split_at_its_commas_is_rejected_with_the_reason(settings: Settings) -> None:
    configure(settings, "redis+sentinel://a:1,b:2/shop/0")
    with pytest.raises(ImproperlyConfigured, match="name of the service"):
        caches["limits"].set("a", 1)
