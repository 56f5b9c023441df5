"""One connection: opened by redis-py, which knows addresses, TLS and how to log in; asked without it.

A command is packed by hiredis, sent once, and its answer read. redis-py does more about each command
(retries, hooks, events), which costs as much as the round trip itself (benchmarks/NOTES.md).
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hiredis
from redis import Connection
from redis.exceptions import InvalidResponse

from limits.store.deadline import Deadline
from limits.store.errors import AnswerLost, StoreUnavailable

_AT_ONCE = 65_536
"""Bytes of an answer that are read in one go; most are a few hundred."""

_INCOMPLETE = object()


class Wire:
    """A connection for one caller at a time."""

    __slots__ = ("_poll", "_reader", "connection", "generation")

    def __init__(self, connection: Connection, generation: int = 0) -> None:
        """``connection`` is redis-py's, not open yet. ``generation``: a pool's, to know old ones by."""
        self.connection: Any = connection
        self.generation = generation

    def open(self, deadline: Deadline) -> None:
        """Connects anew, wherever it was connected before. Raises as redis-py."""
        connection = self.connection
        self.close()
        connection.socket_connect_timeout = connection.socket_timeout = deadline.remaining()
        connection.connect()
        self._reader = hiredis.Reader(InvalidResponse, connection._parser.parse_error, notEnoughData=_INCOMPLETE)
        self._poll = select.poll()
        self._poll.register(connection._sock, select.POLLIN)

    def close(self) -> None:
        self.connection.disconnect()

    @property
    def is_usable(self) -> bool:
        """Whether it is open, still, and nothing unasked for waits in it."""
        return self.connection._sock is not None and not self._poll.poll(0)

    def ask(self, command: tuple[Any, ...], deadline: Deadline) -> Any:
        """Sends a command once and returns its answer.

        Raises an error that the server answers with as redis-py would, and :class:`AnswerLost` where
        no answer came.
        """
        connection = self.connection
        packed = hiredis.pack_command(command)
        connection._sock.settimeout(deadline.remaining())
        try:
            connection._sock.sendall(packed)
            answer = self._read(connection, deadline)
        except (OSError, StoreUnavailable) as error:
            raise AnswerLost(f"{type(error).__name__}: {error}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _read(self, connection: Any, deadline: Deadline) -> Any:
        reader = self._reader
        reader.feed(_received(connection))
        while (answer := reader.gets()) is _INCOMPLETE:
            connection._sock.settimeout(deadline.remaining())
            reader.feed(_received(connection))
        return answer


def _received(connection: Any) -> bytes:
    data: bytes = connection._sock.recv(_AT_ONCE)
    if not data:
        raise ConnectionError("The server closed the connection.")
    return data


@contextmanager
def opened(connection: Connection, deadline: Deadline) -> Iterator[Wire]:
    """A wire, open; closed at the end."""
    wire = Wire(connection)
    try:
        wire.open(deadline)
        yield wire
    finally:
        wire.close()
