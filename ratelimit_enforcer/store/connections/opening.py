"""Opens connections (name lookup, TCP, TLS and login) without making a caller wait past a deadline.

redis-py opens a connection step by step. It applies the same timeout to each step (including each command
of its login), and none to name lookups. So a connection is opened in a separate thread. A caller waits
until the deadline; the connection is then available to the next caller.

The system's name lookup has no timeout either. So it runs in a thread, one per name at a time. If it takes
too long or fails, callers use the addresses found before.
"""

import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from redis import Connection
from redis.connection import SSLConnection

from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StillConnecting

LookupKey = tuple[str, int, int]
"""Host, port and family."""

AddressInfo = list[tuple[Any, ...]]
"""The result of ``socket.getaddrinfo``."""


REFRESH_TIMEOUT = 0.25
"""Seconds to wait for a lookup if an earlier one found an address."""


class HostNames:
    """Looks up host names. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[LookupKey, AddressInfo] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._lookups: dict[LookupKey, _Lookup] = {}

    def addresses(self, host: str, port: int, family: int, seconds: float) -> AddressInfo:
        """The addresses of a host, within ``seconds``. Raises ``OSError`` if the lookup fails, and
        ``TimeoutError`` if it takes too long; both only if no earlier lookup succeeded."""
        key = host, port, family
        if (numeric := _numeric(key)) is not None:
            return numeric
        lookup, known = self._lookup(key), self._known.get(key)
        if lookup.ended.wait(seconds if known is None else min(seconds, REFRESH_TIMEOUT)) and lookup.error is None:
            return lookup.found
        if known is not None:
            return known
        raise lookup.error or TimeoutError(f"The name {host} was not found within {seconds:.2g} s.")

    def _lookup(self, key: LookupKey) -> "_Lookup":
        with self._lock:
            lookup = self._lookups.get(key)
            if lookup is None:
                lookup = self._lookups[key] = _Lookup()
                threading.Thread(target=self._look_up, args=(key, lookup), name="store-name", daemon=True).start()
        return lookup

    def _look_up(self, key: LookupKey, lookup: "_Lookup") -> None:
        host, port, family = key
        try:
            lookup.found = self._known[key] = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except OSError as error:
            lookup.error = error
        finally:
            with self._lock:
                self._lookups.pop(key, None)
            lookup.ended.set()


class _Lookup:
    """One lookup, which several threads may wait for."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.found: AddressInfo = []
        self.error: OSError | None = None


def _numeric(key: LookupKey) -> AddressInfo | None:
    """The result for a numeric address, which needs no lookup; None for a name."""
    host, port, family = key
    try:
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return None


host_names = HostNames()
"""The names known to this process."""


Connect = Callable[[float], Connection]
"""Makes and opens a connection, with a timeout in seconds for each step. Raises redis-py's exceptions."""


def connector(make: Callable[[], Connection]) -> Connect:
    """A :data:`Connect` for the connections that ``make`` returns."""
    return lambda timeout: open_connection(make(), timeout)


def open_connection(connection: Connection, timeout: float) -> Connection:
    """Opens the connection and returns it. ``timeout``: seconds for each step."""
    opened: Any = connection
    opened.socket_connect_timeout = opened.socket_timeout = timeout
    if type(connection)._connect in (Connection._connect, SSLConnection._connect) and _can_wrap(connection):
        opened._connect = partial(_connect, connection, timeout)
    connection.connect()
    return connection


def _can_wrap(connection: Connection) -> bool:
    """redis-py 5.0 opens TLS in a single step, including the name lookup: known addresses cannot be reused there."""
    return not isinstance(connection, SSLConnection) or hasattr(connection, "_wrap_socket_with_ssl")


def _connect(connection: Any, timeout: float) -> socket.socket:
    """Connects as redis-py does, except for the name lookup."""
    error: OSError = OSError(f"The name {connection.host} has no address.")
    for family, kind, protocol, _, address in host_names.addresses(
        connection.host, connection.port, connection.socket_type, timeout
    ):
        try:
            return _open_socket_to(connection, (family, kind, protocol), address, timeout)
        except OSError as problem:
            error = problem
    raise error


def _open_socket_to(connection: Any, kind: tuple[int, int, int], address: Any, timeout: float) -> socket.socket:
    plain = socket.socket(*kind)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if connection.socket_keepalive:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in connection.socket_keepalive_options.items():
                plain.setsockopt(socket.IPPROTO_TCP, name, value)
        plain.settimeout(timeout)
        plain.connect(address)
        if not isinstance(connection, SSLConnection):
            return plain
        wrapped: socket.socket = connection._wrap_socket_with_ssl(plain)
        return wrapped
    except BaseException:
        plain.close()
        raise


class Opening:
    """A connection that a thread is opening; ``timeout`` is in seconds for each step (:data:`Connect`)."""

    def __init__(self, connect: Connect, timeout: float) -> None:
        self._connect = connect
        self._timeout = timeout
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._abandoned = False
        self._connection: Connection | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="store-connect", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the connection is neither open nor failed yet."""
        return not self._ended.is_set()

    def connection(self, deadline: Deadline) -> Connection:
        """The open connection. Raises the error of opening it, and :class:`StillConnecting`."""
        if not self._ended.wait(deadline.remaining()):
            raise StillConnecting("No connection within the deadline.")
        if self._connection is None:
            raise self._error or RuntimeError("The connection was abandoned.")
        return self._connection

    def abandon(self) -> None:
        """Closes the connection, now or as soon as it is open: it is no longer needed."""
        with self._lock:
            self._abandoned = True
        if self._connection is not None:
            self._connection.disconnect()

    def _run(self) -> None:
        try:
            connection = self._connect(self._timeout)
            with self._lock:
                if not self._abandoned:
                    self._connection = connection
            if self._abandoned:
                connection.disconnect()
        except BaseException as error:  # noqa: BLE001
            # Raised again in the thread that waits, where it can be handled.
            self._error = error
        finally:
            self._ended.set()
