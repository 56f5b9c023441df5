"""Where the store is: one server, servers under Sentinel, or a Cluster, as a single URL says it.

redis://host:port/db    rediss://…    unix:///path?db=0
redis+sentinel://host:port,host:port/service-name/db
redis+cluster://host:port,host:port

With TLS the latter two begin with ``rediss+``. A user and password before the first ``@`` are those
of the Redis servers; ``?sentinel_username=…&sentinel_password=…`` are those of the Sentinels. Other
options after the ``?`` are redis-py's, such as ``ssl_ca_certs``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django_redis import get_redis_connection
from redis import Connection, ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

Address = tuple[str, int]

_SEVERAL = re.compile(
    r"(?P<scheme>rediss?)\+(?P<kind>sentinel|cluster)://(?:(?P<user>[^@/?]*)@)?(?P<nodes>[^/?]*)"
    r"(?P<path>/[^?]*)?(?:\?(?P<query>.*))?"
)
_NODE = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+)(?::(?P<port>\d{1,5}))?")
_SENTINEL_PATH = re.compile(r"/(?P<service>[^/]+)(?:/(?P<db>\d+)?)?")

_EXAMPLES = {
    "sentinel": "redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/0",
    "cluster": "redis+cluster://10.0.0.1:6379,10.0.0.2:6379",
}
_NOT_OURS = (
    *("decode_responses", "health_check_interval", "retry_on_error", "retry_on_timeout"),
    *("host", "port", "connection_pool"),
    # Of the pool that read the URL; a relaxed timeout would be no deadline.
    *("maint_notifications_pool_handler", "maint_notifications_config"),
    *("orig_host_address", "orig_socket_timeout", "orig_socket_connect_timeout"),
    # A lock of that pool.
    "himport_registry",
)


class Kind(Enum):
    """How many servers there are, and who says which of them is asked."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Location:
    """A store. ``nodes`` are the Sentinels, or some nodes of the Cluster; of a single server they
    are empty. ``options`` are what a connection takes, but for host and port where ``nodes`` has them."""

    kind: Kind
    connection_class: type[Connection]
    options: Mapping[str, Any]
    nodes: tuple[Address, ...] = ()
    service: str = ""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict)

    def connection(self, address: Address | None = None, **options: Any) -> Connection:
        """A connection that is not open yet."""
        where = {} if address is None else {"host": address[0], "port": address[1]}
        return self.connection_class(**{**self.options, **where, **options})

    def sentinel_connection(self, address: Address) -> Connection:
        """A connection to a Sentinel, not open yet."""
        return self.connection_class(host=address[0], port=address[1], **self.sentinel_options)


def location_of(name: str) -> Location:
    """The store of a URL or of an alias of ``CACHES``. Raises ``ImproperlyConfigured``."""
    if name in settings.CACHES:
        return _location_of_cache(name)
    if "://" not in name:
        raise ImproperlyConfigured(f"RATELIMIT_PLATFORM['REDIS']: {name!r} is neither a URL nor an alias of CACHES.")
    return parse(name)


def parse(url: str) -> Location:
    """The store of a URL. Raises ``ImproperlyConfigured``, without showing a password."""
    if is_of_several(url):
        return _parse_several(url)
    pool = _pool(url, url.partition("://")[0])
    return Location(Kind.SINGLE, pool.connection_class, _options(pool, keep=("host", "port")))


def is_of_several(url: str) -> bool:
    """Whether a URL means Sentinel or a Cluster."""
    return re.match(r"rediss?\+", url) is not None


def _location_of_cache(alias: str) -> Location:
    place = settings.CACHES[alias].get("LOCATION", "")
    url = place if isinstance(place, str) else ",".join(place)
    if is_of_several(url):
        return parse(url)
    pool = get_redis_connection(alias).connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return _location_of_sentinel_pool(pool)
    return Location(Kind.SINGLE, pool.connection_class, _options(pool, keep=("host", "port")))


def _location_of_sentinel_pool(pool: SentinelConnectionPool) -> Location:
    """For a project that uses django-redis' own way to name Sentinels."""
    pools = [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]
    nodes = tuple((each.connection_kwargs["host"], each.connection_kwargs["port"]) for each in pools)
    return Location(
        Kind.SENTINEL,
        pools[0].connection_class,
        _options(pool),
        nodes,
        pool.service_name,
        _options(pools[0]),
    )


def _parse_several(url: str) -> Location:
    match = _SEVERAL.fullmatch(url)
    if match is None:
        raise ImproperlyConfigured(
            "The store's URL begins with neither redis:// nor rediss://, unix://, redis+sentinel:// or redis+cluster://."
        )
    kind = Kind(match["kind"])
    service, number = _place(kind, match["path"] or "")
    nodes = tuple(_node(kind, text) for text in match["nodes"].split(","))
    user = f"{match['user']}@" if match["user"] is not None else ""
    query = f"?{match['query']}" if match["query"] else ""
    pool = _pool(f"{match['scheme']}://{user}host:1/{number}{query}", f"{match['scheme']}+{kind.value}")
    options = _options(pool)
    sentinel_options = _sentinel_options(options)
    if kind is Kind.CLUSTER:
        options.pop("db", None)
    return Location(kind, pool.connection_class, options, nodes, service, sentinel_options)


def _node(kind: Kind, text: str) -> Address:
    match = _NODE.fullmatch(text.strip())
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        what = "a Sentinel" if kind is Kind.SENTINEL else "a node"
        raise _wrong(kind, f"{text.strip()!r} is not the address of {what}, host:port")
    return match["host"].strip("[]"), int(match["port"] or (26379 if kind is Kind.SENTINEL else 6379))


def _place(kind: Kind, path: str) -> tuple[str, int]:
    """The name of the service, and the number of the database."""
    if kind is Kind.CLUSTER:
        if path not in ("", "/", "/0"):
            raise _wrong(kind, f"a Cluster has database 0 only, not {path!r}")
        return "", 0
    match = _SENTINEL_PATH.fullmatch(path)
    if match is None:
        raise _wrong(kind, "after the addresses comes the name of the service, then the number of the database")
    return unquote(match["service"]), int(match["db"] or 0)


def _wrong(kind: Kind, problem: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"The store's URL: {problem}. Example: {_EXAMPLES[kind.value]}")


def _pool(url: str, scheme: str) -> ConnectionPool:
    """Not used for connecting, but for what redis-py reads from the URL."""
    try:
        return ConnectionPool.from_url(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"The store's URL ({scheme}://…) is not understood: {error}") from None


def _options(pool: ConnectionPool, keep: Sequence[str] = ()) -> dict[str, Any]:
    """How the project itself connects (password, TLS, …), but without retries, and without what a
    server may say unasked in RESP 3."""
    options = {name: value for name, value in pool.connection_kwargs.items() if name in keep or name not in _NOT_OURS}
    return options | {"retry": Retry(NoBackoff(), 0), "protocol": 2}


def _sentinel_options(options: dict[str, Any]) -> dict[str, Any]:
    """What a Sentinel needs to hear; its user and password are taken out of ``options``."""
    own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    shared = {name: value for name, value in options.items() if name not in ("db", "username", "password")}
    return shared | {name: value for name, value in own.items() if value}
