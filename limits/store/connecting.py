"""Opening connections: name lookup, TCP, TLS and login, where nobody waits for longer than he may.

redis-py opens a connection step by step and gives each step (each command of its login, too) the same
time limit, and name lookups none. So a connection is opened in a thread of its own. A caller waits
for it until his deadline; the connection is then there for the next one.
"""

import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from redis import Connection
from redis.connection import SSLConnection

from limits.store.deadline import Deadline
from limits.store.errors import StillConnecting
from limits.store.names import names

Connect = Callable[[float], Connection]
"""Makes and opens a connection, of which each step may take so many seconds. Raises as redis-py."""


def connect_by(make: Callable[[], Connection]) -> Connect:
    """How to open the connections that ``make`` makes."""
    return lambda patience: connected(make(), patience)


def connected(connection: Connection, patience: float) -> Connection:
    """The connection, open. Each step may take ``patience`` seconds."""
    opened: Any = connection
    opened.socket_connect_timeout = opened.socket_timeout = patience
    if type(connection)._connect in (Connection._connect, SSLConnection._connect) and _can_wrap(connection):
        opened._connect = partial(_connect, connection, patience)
    connection.connect()
    return connection


def _can_wrap(connection: Connection) -> bool:
    """redis-py 5.0 opens TLS in one piece, name lookup included: there no known address is used again."""
    return not isinstance(connection, SSLConnection) or hasattr(connection, "_wrap_socket_with_ssl")


def _connect(connection: Any, patience: float) -> socket.socket:
    """As redis-py's connections do it, but for the lookup."""
    error: OSError = OSError(f"The name {connection.host} has no address.")
    for family, kind, protocol, _, address in names.addresses(
        connection.host, connection.port, connection.socket_type, patience
    ):
        try:
            return _connect_to(connection, (family, kind, protocol), address, patience)
        except OSError as problem:
            error = problem
    raise error


def _connect_to(connection: Any, kind: tuple[int, int, int], address: Any, patience: float) -> socket.socket:
    plain = socket.socket(*kind)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if connection.socket_keepalive:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in connection.socket_keepalive_options.items():
                plain.setsockopt(socket.IPPROTO_TCP, name, value)
        plain.settimeout(patience)
        plain.connect(address)
        if not isinstance(connection, SSLConnection):
            return plain
        wrapped: socket.socket = connection._wrap_socket_with_ssl(plain)
        return wrapped
    except BaseException:
        plain.close()
        raise


class Opening:
    """A connection that is being opened by a thread."""

    def __init__(self, connect: Connect, patience: float) -> None:
        self._connect = connect
        self._patience = patience
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._abandoned = False
        self._connection: Connection | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="store-connect", daemon=True).start()

    @property
    def is_running(self) -> bool:
        return not self._ended.is_set()

    def connection(self, deadline: Deadline) -> Connection:
        """The open connection. Raises what opening raised, and :class:`StillConnecting`."""
        if not self._ended.wait(deadline.remaining()):
            raise StillConnecting("No connection within the deadline.")
        if self._connection is None:
            raise self._error or RuntimeError("The connection was abandoned.")
        return self._connection

    def abandon(self) -> None:
        """Nobody wants the connection any more: it is closed, now or once it is open."""
        with self._lock:
            self._abandoned = True
        if self._connection is not None:
            self._connection.disconnect()

    def _run(self) -> None:
        try:
            connection = self._connect(self._patience)
            with self._lock:
                if not self._abandoned:
                    self._connection = connection
            if self._abandoned:
                connection.disconnect()
        except BaseException as error:  # noqa: BLE001
            # For whoever waits, in a thread where it can be handled.
            self._error = error
        finally:
            self._ended.set()
