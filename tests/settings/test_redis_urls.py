"""A Redis URL has the same meaning for the store, django-redis and Celery's broker."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django_redis.pool import ConnectionFactory
from kombu import Connection as KombuConnection
from redis import SSLConnection
from redis.backoff import NoBackoff
from redis.retry import Retry

from ratelimit_enforcer.store.connections.redis_url import Kind, parse
from ratelimit_platform.broker import Broker, default_broker, named_broker

REQUIRED = {"ssl_cert_reqs": "required"}
TWICE = Retry(NoBackoff(), 1)

# URL → options of the store, database → URL of the broker → its TLS options
SINGLE: list[tuple[str, dict[str, Any], int, str, dict[str, Any] | None]] = [
    ("redis://", {}, 0, "redis://localhost:6379/1", None),
    ("redis://h", {"host": "h"}, 0, "redis://h:6379/1", None),
    ("redis://h/", {"host": "h"}, 0, "redis://h:6379/1", None),
    ("redis://h/0", {"host": "h"}, 0, "redis://h:6379/1", None),
    ("redis://h:6380/3", {"host": "h", "port": 6380}, 3, "redis://h:6380/4", None),
    ("redis://h:6380/3/", {"host": "h", "port": 6380}, 3, "redis://h:6380/4", None),
    ("redis://h//7", {"host": "h"}, 7, "redis://h:6379/8", None),
    ("redis://h:6379/15", {"host": "h"}, 15, "redis://h:6379/16", None),
    ("redis://h:6379/200", {"host": "h"}, 200, "redis://h:6379/201", None),
    ("redis://h:6379/?db=3", {"host": "h"}, 3, "redis://h:6379/4", None),
    ("redis://h:6379?db=3", {"host": "h"}, 3, "redis://h:6379/4", None),
    ("redis://h:6379/1?db=3", {"host": "h"}, 3, "redis://h:6379/4", None),
    ("redis://:pw@h", {"password": "pw"}, 0, "redis://:pw@h:6379/1", None),
    ("redis://ann:pw@h/2", {"username": "ann", "password": "pw"}, 2, "redis://ann:pw@h:6379/3", None),
    ("redis://ann@h/2", {"username": "ann"}, 2, "redis://ann:@h:6379/3", None),
    ("redis://h?password=pw&username=ann", {"username": "ann", "password": "pw"}, 0, "redis://ann:pw@h:6379/1", None),
    ("redis://:p%40%2F%3A%3F%23%25@h", {"password": "p@/:?#%"}, 0, "redis://:p%40%2F%3A%3F%23%25@h:6379/1", None),
    ("redis://:p@w@h/0", {"password": "p@w", "host": "h"}, 0, "redis://:p%40w@h:6379/1", None),
    ("redis://:a:b@h/0", {"password": "a:b"}, 0, "redis://:a%3Ab@h:6379/1", None),
    ("redis://:a;b@h/0", {"password": "a;b"}, 0, "redis://:a%3Bb@h:6379/1", None),
    ("redis://:$x+y z@h/0", {"password": "$x+y z"}, 0, "redis://:%24x%2By%20z@h:6379/1", None),
    ("redis://:p%C3%A4ss@h", {"password": "päss"}, 0, "redis://:p%C3%A4ss@h:6379/1", None),
    ("redis://[2001:db8::1]:6380/1", {"host": "2001:db8::1", "port": 6380}, 1, "redis://[2001:db8::1]:6380/2", None),
    ("redis://:pw@[::1]", {"host": "::1", "password": "pw"}, 0, "redis://:pw@[::1]:6379/1", None),
    ("redis://h:6379?socket_timeout=5", {"host": "h"}, 0, "redis://h:6379/1", None),
    ("redis://h?socket_connect_timeout=2&socket_keepalive=1", {"host": "h"}, 0, "redis://h:6379/1", None),
    ("redis://h/1?max_connections=5&health_check_interval=3", {"host": "h"}, 1, "redis://h:6379/2", None),
    ("redis://h/1?client_name=shop", {"client_name": "shop"}, 1, "redis://h:6379/2", None),
    ("redis://h/1?protocol=3&decode_responses=1", {"host": "h"}, 1, "redis://h:6379/2", None),
    ("rediss://h", {"host": "h"}, 0, "rediss://h:6379/1", REQUIRED),
    ("rediss://:pw@h:6380/0?ssl_ca_certs=ca.pem", {"password": "pw", "ssl_ca_certs": "ca.pem"}, 0,
     "rediss://:pw@h:6380/1", REQUIRED | {"ssl_ca_certs": "ca.pem"}),
    ("rediss://h:6380/0?ssl_certfile=c&ssl_keyfile=k", {"ssl_certfile": "c", "ssl_keyfile": "k"}, 0,
     "rediss://h:6380/1", REQUIRED | {"ssl_certfile": "c", "ssl_keyfile": "k"}),
    ("rediss://:pw@h:6380?ssl_cert_reqs=none", {"ssl_cert_reqs": "none"}, 0,
     "rediss://:pw@h:6380/1", {"ssl_cert_reqs": "none"}),
    ("rediss://h?ssl_cert_reqs=optional&db=4", {"ssl_cert_reqs": "optional"}, 4,
     "rediss://h:6379/5", {"ssl_cert_reqs": "optional"}),
    ("rediss://h?ssl_check_hostname=false", {"ssl_check_hostname": False}, 0,
     "rediss://h:6379/1", REQUIRED | {"ssl_check_hostname": False}),
    ("rediss://h?ssl_ca_path=/etc/ca", {"ssl_ca_path": "/etc/ca"}, 0,
     "rediss://h:6379/1", REQUIRED | {"ssl_ca_path": "/etc/ca"}),
    ("rediss://h?ssl_certfile=c&ssl_keyfile=k&ssl_password=a%26b", {"ssl_password": "a&b"}, 0,
     "rediss://h:6379/1", REQUIRED | {"ssl_certfile": "c", "ssl_keyfile": "k", "ssl_password": "a&b"}),
    ("rediss://[::1]:6380/2?ssl_min_version=771", {"host": "::1", "ssl_min_version": 771}, 2,
     "rediss://[::1]:6380/3", REQUIRED | {"ssl_min_version": 771}),
    ("unix:///run/redis.sock", {"path": "/run/redis.sock"}, 0, "redis+socket:///run/redis.sock?virtual_host=1", None),
    ("unix:///r.sock?db=2", {"path": "/r.sock"}, 2, "redis+socket:///r.sock?virtual_host=3", None),
    ("unix:///r.sock?db=0&password=x", {"password": "x"}, 0, "redis+socket://:x@/r.sock?virtual_host=1", None),
    ("unix:///r.sock?password=x&db=0", {"password": "x"}, 0, "redis+socket://:x@/r.sock?virtual_host=1", None),
    ("unix://ann:p%2Fw@/r.sock?db=1", {"username": "ann", "password": "p/w", "path": "/r.sock"}, 1,
     "redis+socket://ann:p%2Fw@/r.sock?virtual_host=2", None),
    ("unix:///my%20files/a%23b%3Fc.sock", {"path": "/my files/a#b?c.sock"}, 0,
     "redis+socket:///my%20files/a%23b%3Fc.sock?virtual_host=1", None),
]  # fmt: skip

# URL → nodes, service, database → URL, TLS options and transport options of the broker
SENTINEL: list[tuple[str, dict[str, Any], Broker]] = [
    (
        "redis+sentinel://a:1,b:2/shop/4",
        {"nodes": (("a", 1), ("b", 2)), "service": "shop", "database": 4},
        Broker("sentinel://a:1/5;sentinel://b:2/5", None, {"master_name": "shop", "sentinel_kwargs": {"retry": TWICE}}),
    ),
    (
        "redis+sentinel://:pw@a,[::1]:2/my%20shop?sentinel_password=x&db=2",
        {"nodes": (("a", 26379), ("::1", 2)), "service": "my shop", "database": 2},
        Broker(
            "sentinel://:pw@a:26379/3;sentinel://:pw@[::1]:2/3",
            None,
            {"master_name": "my shop", "sentinel_kwargs": {"retry": TWICE, "password": "x"}},
        ),
    ),
    (
        "rediss+sentinel://ann:p%2Cw@a/shop/0?ssl_ca_certs=ca.pem&socket_timeout=3&sentinel_username=s",
        {"nodes": (("a", 26379),), "service": "shop", "database": 0},
        Broker(
            "sentinel://ann:p%2Cw@a:26379/1",
            REQUIRED | {"ssl_ca_certs": "ca.pem"},
            {
                "socket_timeout": 3.0,
                "master_name": "shop",
                "sentinel_kwargs": REQUIRED
                | {"retry": TWICE, "ssl": True, "ssl_ca_certs": "ca.pem", "socket_timeout": 3.0, "username": "s"},
            },
        ),
    ),
]


def kombu_options(broker: Broker) -> dict[str, Any]:
    """The options with which kombu would connect. A channel is not created, because it would connect immediately."""
    client = KombuConnection(broker.url, ssl=broker.use_ssl or False, transport_options=broker.transport_options)
    channel_class = client.transport.Channel
    channel = channel_class.__new__(channel_class)
    channel.connection = client.transport
    for name in ("socket_timeout", "socket_connect_timeout", "socket_keepalive", "client_name"):
        setattr(channel, name, broker.transport_options.get(name))
    return dict(channel._connparams())


@pytest.mark.parametrize(("url", "options", "database", "broker_url", "ssl"), SINGLE)
def test_one_server(
    url: str, options: dict[str, Any], database: int, broker_url: str, ssl: dict[str, Any] | None
) -> None:
    location = parse(url)
    assert location.kind is Kind.SINGLE
    assert options.items() <= location.options.items()
    assert location.database == database
    broker = default_broker(url)
    assert (broker.url, broker.use_ssl) == (broker_url, ssl)


@pytest.mark.parametrize("url", [row[0] for row in SINGLE])
def test_store_cache_and_broker_connect_in_the_same_way(url: str) -> None:
    store, broker = parse(url), kombu_options(default_broker(url))
    cache = ConnectionFactory({}).make_connection_params(url)
    pool = ConnectionFactory({}).get_connection_pool(cache)
    ours = ("username", "password", "path", "socket_timeout", "client_name")
    for name in (*ours, *(name for name in store.options if name.startswith("ssl_"))):
        expected = store.options.get(name)
        assert broker.get(name) == expected or (not broker.get(name) and not expected), name
        assert pool.connection_kwargs.get(name) == expected, name
    if "path" not in store.options:
        where = {"host": store.options.get("host", "localhost"), "port": store.options.get("port", 6379)}
        assert {name: broker[name] for name in where} == where
    assert pool.connection_class is store.connection_class
    assert issubclass(broker["connection_class"], SSLConnection) == store.has_tls
    assert broker["db"] == store.database + 1


@pytest.mark.parametrize(("url", "expected", "broker"), SENTINEL)
def test_sentinels(url: str, expected: dict[str, Any], broker: Broker) -> None:
    location = parse(url)
    assert {name: getattr(location, name) for name in expected} == expected
    assert default_broker(url) == broker
    options = kombu_options(broker)
    assert (options["username"], options["password"]) == (
        location.options.get("username"),
        location.options.get("password"),
    )
    assert issubclass(options["connection_class"], SSLConnection) == location.has_tls


@pytest.mark.parametrize("url", ["redis+cluster://a:1,b:2", "rediss+cluster://:pw@a"])
def test_a_cluster_requires_a_separate_broker(url: str) -> None:
    assert parse(url).kind is Kind.CLUSTER
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL is not set"):
        default_broker(url)
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL names a Redis Cluster"):
        named_broker(url)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("rediss://:pw@h/5", Broker("rediss://:pw@h:6379/5", REQUIRED)),
        ("rediss://h/5?ssl_cert_reqs=CERT_NONE", Broker("rediss://h:6379/5", {"ssl_cert_reqs": "none"})),
        ("unix:///r.sock?db=2", Broker("redis+socket:///r.sock?virtual_host=2")),
        ("amqp://ann:pw@h//", Broker("amqp://ann:pw@h//")),
        ("redis+socket:///r.sock", Broker("redis+socket:///r.sock")),
    ],
)
def test_a_configured_broker_url_is_read_like_that_of_the_store(url: str, broker: Broker) -> None:
    assert named_broker(url) == broker


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis:/h", "it must begin with one of redis://"),
        ("http://h", "it must begin with one of redis://"),
        ("secret", "it must begin with one of redis://"),
        ("redis://h/0\n", "a line break"),
        ("redis://h:99999", "the port is not a number from 1 to 65535"),
        ("redis://h:x", "the port is not a number"),
        ("redis://2001:db8::1/0", "the port is not a number"),
        ("redis://[::1/0", "the port is not a number"),
        ("redis://::1]/0", "it is invalid"),
        ("redis://a:1,b:2/0", "several addresses require redis+sentinel:// or redis+cluster://"),
        ("redis://h/zero", "only the number of the database may follow the host"),
        ("redis://h/0?db=one", "the value of db is invalid"),
        ("redis://h/0?socket_timeout=soon", "the value of socket_timeout is invalid"),
        ("redis://h/0?sockettimeout=5", "a misspelling of socket_timeout"),
        ("redis://h/0?ssl_cert_reqs=none", "ssl_cert_reqs requires rediss://"),
        ("rediss://h/0?ssl_cert_reqs=never", "the value of an option after the ? is invalid"),
        ("redis://h/0?timeout", "name=value"),
        ("unix://r.sock", "the absolute path of the socket"),
        ("unix://", "the absolute path of the socket"),
        ("redis+sentinel://a:1,b:2", "the addresses must be followed by the name of the service"),
        ("redis+sentinel://a:1,,b:2/shop", "address 2 of 3 is not the address of a Sentinel"),
        ("redis+cluster://a:1/2", "a Cluster has only database 0"),
        ("redis+cluster://a:1?db=2", "a Cluster has only database 0"),
    ],
)
def test_the_error_names_the_problem_and_the_variable(url: str, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        default_broker(url)
    assert problem in str(error.value)
    assert str(error.value).startswith("REDIS_URL: ")


def test_sentinel_urls_of_kombu_are_rejected_because_they_lack_the_service() -> None:
    with pytest.raises(ImproperlyConfigured, match="specify Sentinels as in REDIS_URL"):
        named_broker("sentinel://a:1;sentinel://b:2")
