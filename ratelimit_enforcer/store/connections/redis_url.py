"""Parses the URL of a store. The only parser of Redis URLs: the configurations of redis-py, django-redis
and the message broker are derived from the :class:`Location` that it returns.

redis://user:password@host:port/db    rediss://…    unix:///path?db=0
redis+sentinel://host:port,host:port/service-name/db
redis+cluster://host:port,host:port

With TLS, the latter two begin with ``rediss+``. A user and password before the last ``@`` are those
of the Redis servers; ``?sentinel_username=…&sentinel_password=…`` are those of the Sentinels. Other
options after the ``?`` are redis-py's, such as ``ssl_ca_certs``.

Messages do not quote any part of a URL: if a password contains ``/``, ``?`` or ``#``, any part may be a
piece of the password.
"""

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured
from redis import Connection, ConnectionPool, RedisError, SSLConnection
from redis.backoff import NoBackoff
from redis.retry import Retry

Address = tuple[str, int]

SCHEMES = (
    *("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"),
    *("redis+cluster", "rediss+cluster"),
)

_URL = re.compile(
    r"(?P<scheme>[a-z+]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NODE = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:@\[\]\s]+)(?::(?P<port>\d{1,5}))?")
_DATABASE_PATH = re.compile(r"/*(\d+/*)?")
_SENTINEL_PATH = re.compile(r"/(?P<service>[^/]+)(?:/(?P<db>\d+)?)?")

_EXAMPLES = {
    "redis": "redis://:password@10.0.0.1:6379/0",
    "rediss": "rediss://:password@redis.example.com:6379/0?ssl_ca_certs=/etc/ssl/redis.pem",
    "unix": "unix:///run/redis/redis.sock?db=0",
    "sentinel": "redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/0",
    "cluster": "redis+cluster://10.0.0.1:6379,10.0.0.2:6379",
}
_ENCODING = "Characters of a password such as @ : / ? # & % must be percent-encoded (/ is %2F)"
_DROPPED_OPTIONS = (
    *("decode_responses", "health_check_interval", "retry_on_error", "retry_on_timeout"),
    *("host", "port", "connection_pool"),
    # Of the pool that parsed the URL; a relaxed timeout would break the deadline.
    *("maint_notifications_pool_handler", "maint_notifications_config"),
    *("orig_host_address", "orig_socket_timeout", "orig_socket_connect_timeout"),
    # A lock of that pool.
    "himport_registry",
)
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")


class Kind(Enum):
    """The topology of a store."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Location:
    """A store. ``nodes`` are the Sentinels, or some nodes of the Cluster; empty for a single server.
    ``options`` are the arguments of a connection, without host and port if ``nodes`` has them."""

    kind: Kind
    connection_class: type[Connection]
    options: Mapping[str, Any]
    nodes: tuple[Address, ...] = ()
    service: str = ""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> int:
        """The number of the database."""
        return int(self.options.get("db") or 0)

    @property
    def has_tls(self) -> bool:
        """Whether connections use TLS."""
        return issubclass(self.connection_class, SSLConnection)

    def connection(self, address: Address | None = None, **options: Any) -> Connection:
        """A connection to this address, not open yet; ``options`` override those of the location."""
        where = {} if address is None else {"host": address[0], "port": address[1]}
        return self.connection_class(**{**self.options, **where, **options})

    def sentinel_connection(self, address: Address) -> Connection:
        """A connection to a Sentinel, not open yet."""
        return self.connection_class(host=address[0], port=address[1], **self.sentinel_options)


def parse(url: str) -> Location:
    """The store that a URL names. Raises ``ImproperlyConfigured``, whose message quotes no part of the URL."""
    match = _URL.fullmatch(url)
    if match is None or match["scheme"] not in SCHEMES:
        raise _invalid("it must begin with one of " + ", ".join(f"{scheme}://" for scheme in SCHEMES), "redis")
    scheme, _, kind = match["scheme"].partition("+")
    _check_characters(match, kind or scheme)
    _check_query(match["query"] or "", kind or scheme)
    if kind:
        return _parse_several(match, scheme, Kind(kind))
    return _parse_single(url, match, scheme)


def is_multi_node(url: str) -> bool:
    """Whether a URL names Sentinels or a Cluster."""
    return re.match(r"rediss?\+", url) is not None


def options_of(pool: ConnectionPool, keep: Sequence[str] = ()) -> dict[str, Any]:
    """The options with which the project itself connects (password, TLS, …), but without retries, and with
    RESP 2, in which a server sends nothing unasked."""
    options = {
        name: value for name, value in pool.connection_kwargs.items() if name in keep or name not in _DROPPED_OPTIONS
    }
    return _driver(pool.connection_class, options) | options | {"retry": Retry(NoBackoff(), 0), "protocol": 2}


def _driver(connection_class: type[Connection], options: Mapping[str, Any]) -> dict[str, Any]:
    """One shared description of redis-py, which connections send to the server. Without it, redis-py reads its
    version from the installed package for each connection: milliseconds of processor time."""
    if "driver_info" not in _parameters(connection_class) or options.keys() & {"lib_name", "lib_version"}:
        return {}
    from redis.driver_info import DriverInfo

    return {"driver_info": DriverInfo()}


def _parse_single(url: str, match: re.Match[str], scheme: str) -> Location:
    (_check_socket if scheme == "unix" else _check_server)(match, scheme)
    pool = _pool(url, scheme)
    options = options_of(pool, keep=("host", "port"))
    _check_options(pool.connection_class, options, scheme)
    return Location(Kind.SINGLE, pool.connection_class, options)


def _parse_several(match: re.Match[str], scheme: str, kind: Kind) -> Location:
    service, number = _service_and_database(kind, match["path"])
    user, at, nodes = match["authority"].rpartition("@")
    query = f"?{match['query']}" if match["query"] else ""
    pool = _pool(f"{scheme}://{user}{at}host:1/{number}{query}", kind.value)
    options = options_of(pool)
    sentinel_options = _sentinel_options(options)
    _check_options(pool.connection_class, options, kind.value)
    if kind is Kind.CLUSTER and options.pop("db", 0):
        raise _invalid("a Cluster has only database 0", kind.value)
    return Location(kind, pool.connection_class, options, _nodes(kind, nodes), service, sentinel_options)


def _nodes(kind: Kind, text: str) -> tuple[Address, ...]:
    parts = text.split(",")
    return tuple(_node(kind, part.strip(), f"address {n} of {len(parts)}") for n, part in enumerate(parts, 1))


def _node(kind: Kind, text: str, which: str) -> Address:
    match = _NODE.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        what = "a Sentinel" if kind is Kind.SENTINEL else "a node"
        raise _invalid(f"{which} is not the address of {what}, host:port", kind.value)
    return match["host"].strip("[]"), int(match["port"] or (26379 if kind is Kind.SENTINEL else 6379))


def _service_and_database(kind: Kind, path: str) -> tuple[str, int]:
    """The name of the service, and the number of the database."""
    if kind is Kind.CLUSTER:
        if path not in ("", "/", "/0"):
            raise _invalid("a Cluster has only database 0, and nothing else may follow the addresses", kind.value)
        return "", 0
    match = _SENTINEL_PATH.fullmatch(path)
    if match is None:
        raise _invalid(
            "the addresses must be followed by the name of the service and the number of the database", kind.value
        )
    return unquote(match["service"]), int(match["db"] or 0)


def _check_characters(match: re.Match[str], example: str) -> None:
    """Rejects characters that urllib would drop silently, or take for another part of the URL."""
    if _CONTROL.search(match.string):
        raise _invalid("it contains a line break or another control character", example)
    if match["fragment"] is not None:
        raise _invalid(f"it contains a #. {_ENCODING}", example)
    authority = match["authority"]
    if authority and "@" not in authority and "@" in match["path"]:
        raise _invalid(f"an @ comes after the first /. {_ENCODING}", example)


def _check_query(query: str, example: str) -> None:
    if not all("=" in option for option in query.split("&") if option):
        raise _invalid(f"the part after the ? is not name=value&name=value. {_ENCODING}", example)


def _check_server(match: re.Match[str], scheme: str) -> None:
    server = match["authority"].rpartition("@")[2]
    if "," in server:
        raise _invalid("several addresses require redis+sentinel:// or redis+cluster://", "sentinel")
    outside = server.rpartition("]")[2]
    port = outside.partition(":")[2]
    if port and not (re.fullmatch(r"\d{1,5}", port) and 0 < int(port) < 65536):
        raise _invalid(f"the port is not a number from 1 to 65535. {_ENCODING}", scheme)
    if not _DATABASE_PATH.fullmatch(unquote(match["path"])):
        raise _invalid("only the number of the database may follow the host", scheme)


def _check_socket(match: re.Match[str], scheme: str) -> None:
    if not match["path"].startswith("/") or match["authority"].rpartition("@")[2]:
        raise _invalid("unix:// must be followed by the absolute path of the socket, so three slashes in a row", scheme)


def _pool(url: str, example: str) -> ConnectionPool:
    """A pool that is never used to connect, only to let redis-py parse the URL."""
    try:
        return ConnectionPool.from_url(url)
    except (ValueError, TypeError) as error:
        option = re.match(r"Invalid value for '(\w+)'", str(error))
        problem = f"the value of {option[1]} is invalid" if option else f"it is invalid. {_ENCODING}"
        raise _invalid(problem, example) from None


def _check_options(connection_class: type[Connection], options: Mapping[str, Any], example: str) -> None:
    """Makes a connection without opening it, the only way to learn whether redis-py accepts the options."""
    known = _parameters(connection_class)
    if unknown := [name for name in options if name not in known]:
        raise _invalid(_unknown_option(unknown[0], known), example)
    try:
        connection_class(**options)
    except (RedisError, ValueError, TypeError):
        raise _invalid("the value of an option after the ? is invalid", example) from None


def _unknown_option(name: str, known: Iterable[str]) -> str:
    """Suggests a similar option. The given name is not quoted: it may be a piece of a password."""
    if name.startswith("ssl_") and name in _parameters(SSLConnection):
        return f"{name} requires rediss:// instead of redis://"
    if alike := difflib.get_close_matches(name, [*known, *_SENTINEL_OPTIONS], 1):
        return f"it has an unknown option, perhaps a misspelling of {alike[0]}"
    return f"it has an unknown option. {_ENCODING}"


def _parameters(connection_class: type) -> set[str]:
    signatures = [inspect.signature(each.__init__) for each in connection_class.__mro__ if each is not object]  # type: ignore[misc]
    return {name for signature in signatures for name in signature.parameters} - {"self", "args", "kwargs"}


def _sentinel_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options for Sentinels; removes the Sentinels' user and password from ``options``."""
    own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    shared = {name: value for name, value in options.items() if name not in ("db", "username", "password")}
    return shared | {name: value for name, value in own.items() if value}


def _invalid(problem: str, example: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"The store's URL: {problem}. Example: {_EXAMPLES[example]}")
