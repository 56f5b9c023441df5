"""Opening a connection and asking one thing, all within a deadline."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Connection

from limits.store.deadline import Deadline
from limits.store.redis_py import read_response


def open_by(connection: Connection, deadline: Deadline) -> None:
    """Connects anew, wherever it was connected before."""
    connection.disconnect()
    connection.socket_connect_timeout = connection.socket_timeout = deadline.remaining()
    connection.connect()


def ask(connection: Connection, *command: Any, deadline: Deadline) -> Any:
    """Sends a command once and returns its answer."""
    connection.send_command(*command, check_health=False)
    return read_response(connection, deadline.remaining())


@contextmanager
def opened(connection: Connection, deadline: Deadline) -> Iterator[Connection]:
    """The connection, open; closed at the end."""
    try:
        open_by(connection, deadline)
        yield connection
    finally:
        connection.disconnect()
