"""Connections to Redis.

The config plane uses an ordinary client that waits longer. The data plane has a pool of its own:
one deadline covers the wait for a connection, the connecting and the answer. Neither ever sends a
command a second time: a script whose bytes have left may have run.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django_redis import get_redis_connection
from redis import Connection, ConnectionPool, Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from limits.conf import setting
from limits.store.breaker import Breaker
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable, outages_named
from limits.store.keys import Keys
from limits.store.redis_py import is_connected, read_response

PATIENCE = 2.0
"""Seconds that the config plane waits for Redis."""

PROBE_PATIENCE = 0.5
"""Seconds that a probe waits for a store that was away."""

_NOT_OURS = ("decode_responses", "health_check_interval", "retry_on_error", "retry_on_timeout")


def patient_client() -> Redis:
    """The config plane's client of this process; it answers in bytes."""
    return _patient_client(setting("REDIS"))


@lru_cache(maxsize=8)
def _patient_client(location: str) -> Redis:
    timeouts = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    connection_class, options = _connection_options(location)
    return Redis(connection_pool=ConnectionPool(connection_class, **options | timeouts))


def hot_connections(location: str | None = None) -> "HotConnections":
    """The data plane's connections of this process, to ``RATELIMIT_PLATFORM["REDIS"]`` where no
    other ``location`` of that kind is named."""
    return _hot_connections(location or setting("REDIS"), setting("MAX_CONNECTIONS"), Keys(setting("NAMESPACE")).probe)


@lru_cache(maxsize=8)
def _hot_connections(location: str, size: int, probe_key: str) -> "HotConnections":
    connection_class, options = _connection_options(location)
    return HotConnections(lambda: connection_class(**options), size, probe_key=probe_key)


def _connection_options(location: str) -> tuple[type[Connection], dict[str, Any]]:
    """How the project itself connects (server, password, TLS, …), but without retries."""
    pool = _pool(location)
    options = {name: value for name, value in pool.connection_kwargs.items() if name not in _NOT_OURS}
    return pool.connection_class, options | {"retry": Retry(NoBackoff(), 0)}


def _pool(location: str) -> ConnectionPool:
    if location in settings.CACHES:
        return get_redis_connection(location).connection_pool
    if "://" not in location:
        raise ImproperlyConfigured(
            f"RATELIMIT_PLATFORM['REDIS']: {location!r} is neither a URL nor an alias of CACHES."
        )
    return ConnectionPool.from_url(location)


class HotConnections:
    """A bounded pool of connections, shared by threads; a forked child begins with an empty one."""

    def __init__(self, make: Callable[[], Connection], size: int, *, probe_key: str = "rl:probe") -> None:
        """``probe_key`` is written to find out whether the store is back."""
        self._make = make
        self._size = size
        self._probe_key = probe_key
        self._begin()

    def _begin(self) -> None:
        self.breaker = Breaker(self._probe)
        self._idle: deque[Connection] = deque()
        self._free = threading.BoundedSemaphore(self._size)
        self._pid = os.getpid()

    def execute(self, *command: Any, deadline: Deadline) -> Any:
        """Sends one command once and returns its answer.

        Raises :class:`StoreUnavailable` for an outage, at once where it is known already, and other
        errors of Redis as they are.
        """
        if self._pid != os.getpid():
            self._begin()
        if self.breaker.is_open:
            raise StoreUnavailable("The store is known to be away.")
        if not self._free.acquire(timeout=deadline.remaining()):
            raise StoreUnavailable("All connections to the store are in use.")
        try:
            with outages_named():
                return self._execute(command, deadline)
        except StoreUnavailable as error:
            self.breaker.trip(str(error))
            raise
        finally:
            self._free.release()

    def _execute(self, command: tuple[Any, ...], deadline: Deadline) -> Any:
        connection = self._idle.pop() if self._idle else self._make()
        try:
            if not _is_usable(connection):
                _open(connection, deadline)
            connection.send_command(*command, check_health=False)
            return read_response(connection, deadline.remaining())
        except exceptions.ResponseError:
            raise
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._idle.append(connection)

    def _probe(self) -> None:
        """Writes, since a store that only answers reads cannot decide."""
        connection = self._make()
        try:
            with outages_named():
                _open(connection, Deadline(PROBE_PATIENCE))
                connection.send_command("SET", self._probe_key, 1, "PX", 1000, check_health=False)
                read_response(connection, PROBE_PATIENCE)
        finally:
            connection.disconnect()


def _is_usable(connection: Connection) -> bool:
    """Whether it is open, still, and nothing unasked for waits in it."""
    try:
        return is_connected(connection) and not connection.can_read()
    except exceptions.ConnectionError:
        return False


def _open(connection: Connection, deadline: Deadline) -> None:
    connection.disconnect()
    connection.socket_connect_timeout = connection.socket_timeout = deadline.remaining()
    connection.connect()
