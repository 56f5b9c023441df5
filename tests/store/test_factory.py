"""The location of the store, from a URL or an entry of ``CACHES``."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from limits.store.client import control_client
from ratelimit_enforcer.engine import get_engine
from ratelimit_enforcer.store.connections.factory import location_of, store_connections
from ratelimit_enforcer.store.connections.redis_url import Kind, parse
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_platform.embedded.redis import free_port

REDIS_CACHE = {"BACKEND": "django_redis.cache.RedisCache"}
SENTINELS = "redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/3"
CLUSTER = "redis+cluster://10.0.0.1:7000,10.0.0.2:7001"


@pytest.mark.parametrize(
    ("url", "connection_class", "options"),
    [
        ("redis://db:6380/2", Connection, {"host": "db", "port": 6380, "db": 2}),
        ("redis://ann:p%40ss@db/0", Connection, {"host": "db", "username": "ann", "password": "p@ss"}),
        ("rediss://db:6380/1?ssl_ca_certs=/ca.pem", SSLConnection, {"port": 6380, "ssl_ca_certs": "/ca.pem"}),
        ("unix:///run/redis.sock?db=4", UnixDomainSocketConnection, {"path": "/run/redis.sock", "db": 4}),
    ],
)
def test_one_server(url: str, connection_class: type[Connection], options: dict[str, Any]) -> None:
    location = parse(url)
    assert (location.kind, location.nodes, location.connection_class) == (Kind.SINGLE, (), connection_class)
    assert options.items() <= location.options.items()
    assert location.options["retry"].get_retries() == 0


def test_servers_under_sentinel() -> None:
    location = parse(SENTINELS)
    assert location.kind is Kind.SENTINEL
    assert location.nodes == (("10.0.0.1", 26379), ("10.0.0.2", 26379))
    assert (location.service, location.options["db"]) == ("mymaster", 3)


def test_a_cluster() -> None:
    location = parse(CLUSTER)
    assert location.kind is Kind.CLUSTER
    assert location.nodes == (("10.0.0.1", 7000), ("10.0.0.2", 7001))
    assert "db" not in location.options


def test_ports_databases_and_ipv6() -> None:
    assert parse("redis+sentinel://a,[2001:db8::1]:7/shop").nodes == (("a", 26379), ("2001:db8::1", 7))
    assert parse("redis+sentinel://a/shop").options["db"] == 0
    assert parse("redis+cluster://a,b:1/0").nodes == (("a", 6379), ("b", 1))


def test_servers_and_sentinels_have_separate_passwords() -> None:
    location = parse("rediss+sentinel://ann:secret@a,b/shop/0?sentinel_password=other&ssl_ca_certs=/ca.pem")
    assert (location.options["username"], location.options["password"]) == ("ann", "secret")
    assert location.sentinel_options["password"] == "other"
    assert "username" not in location.sentinel_options
    assert location.sentinel_options["ssl_ca_certs"] == "/ca.pem"
    assert "sentinel_password" not in location.options
    assert location.connection_class is SSLConnection
    assert location.sentinel_connection(("a", 1)).host == "a"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+sentinel://a:1,b:2", "the name of the service"),
        ("redis+sentinel://a:1,b:2/shop/one", "the name of the service"),
        ("redis+sentinel://a:1,,b:2/shop", "address 2 of 3 is not the address of a Sentinel, host:port"),
        ("redis+sentinel://a:99999/shop", "address 1 of 1 is not the address of a Sentinel"),
        ("redis+cluster://a:x", "address 1 of 1 is not the address of a node"),
        ("redis+cluster://a:1/2", "a Cluster has only database 0"),
        ("redis+cluster://", "address 1 of 1 is not the address of a node"),
        ("redis+ring://a:1", "must begin with one of"),
        ("http://a", "must begin with one of"),
        ("redis://a/0?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_the_error_names_the_problem(url: str, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        parse(url)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://ann:secret@a:1,b:2",
        "redis+cluster://:secret@a:x",
        "http://:secret@a",
        "redis+sentinel://:x,secret/y@a:1/shop",
        "redis+cluster://:1/secret@a",
        "redis://:1/secret@a",
        "redis://:secret#@a",
        "redis://:1?secret@a",
        "redis://:1?secret=x@a",
        "redis://a?password=x&secret=y",
        "secret",
    ],
)
def test_the_error_contains_no_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        parse(url)
    assert "secret" not in str(error.value)


def test_an_alias_of_caches(settings: Settings) -> None:
    settings.CACHES = {
        "single": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://db:6380/2"},
        "list": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": [SENTINELS]},
        "text": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": CLUSTER},
    }
    assert location_of("single").options["port"] == 6380
    assert location_of("list").nodes == parse(SENTINELS).nodes
    assert location_of("text").kind is Kind.CLUSTER


def test_sentinels_configured_for_django_redis_itself(settings: Settings) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://shop/3",
            "OPTIONS": {
                "CLIENT_CLASS": "django_redis.client.SentinelClient",
                "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
                "SENTINELS": [("a", 1), ("b", 2)],
                "PASSWORD": "secret",
            },
        }
    }
    location = location_of("default")
    assert (location.kind, location.service, location.nodes) == (Kind.SENTINEL, "shop", (("a", 1), ("b", 2)))
    assert (location.options["db"], location.options["password"]) == (3, "secret")


def test_changed_settings_of_an_alias_take_effect(settings: Settings, redis_url: str) -> None:
    settings.RATELIMIT_PLATFORM = {"REDIS": "default", "CHECK_DEADLINE": 10}
    settings.CACHES = {"default": REDIS_CACHE | {"LOCATION": f"redis://127.0.0.1:{free_port()}/0"}}
    first = (get_engine(), store_connections(), control_client())
    settings.CACHES = {"default": REDIS_CACHE | {"LOCATION": redis_url}}
    assert store_connections().execute("PING", key="", deadline=Deadline(10)) == b"PONG"
    assert control_client().ping()
    assert get_engine()._decider._connections is store_connections()  # type: ignore[attr-defined]
    assert not {*map(id, first)} & {*map(id, (get_engine(), store_connections(), control_client()))}


def test_a_name_that_is_neither_a_url_nor_an_alias() -> None:
    with pytest.raises(ImproperlyConfigured, match="neither a URL nor an alias"):
        location_of("nowhere")
