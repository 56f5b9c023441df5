"""One connection: opened by redis-py, which knows addresses, TLS and how to log in; asked without it.

A command is packed by hiredis, sent once, and its answer read. redis-py does more about each command
(retries, hooks, events), which costs as much as the round trip itself (benchmarks/NOTES.md).
"""

import select
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hiredis
from redis import Connection
from redis.exceptions import InvalidResponse

from limits.store.connecting import Connect, Opening, connect_by
from limits.store.deadline import Deadline
from limits.store.errors import AnswerLate, AnswerLost

_AT_ONCE = 65_536
"""Bytes of an answer that are read in one go; most are a few hundred."""

CONNECT_PATIENCE = 0.5
"""Seconds that each step of opening a connection may take, unless the caller waits longer."""

ENOUGH = 0.5
"""The part of a deadline that a server must have had before it is blamed for not answering."""

_INCOMPLETE = object()


class Wire:
    """A connection for one caller at a time."""

    __slots__ = ("_connect", "_poll", "_reader", "connection", "generation", "opening")

    def __init__(self, connect: Connect, generation: int = 0) -> None:
        """``connect`` opens redis-py's connection. ``generation``: a pool's, to know old ones by."""
        self._connect = connect
        self.connection: Any = None
        self.opening: Opening | None = None
        self.generation = generation

    def open(self, deadline: Deadline) -> None:
        """Connects, or waits for the connecting that is under way. Raises as redis-py, and
        :class:`~limits.store.errors.StillConnecting`: then the next call goes on with it."""
        opening = self.opening
        if opening is not None and not opening.is_running:
            # It was opened while nobody waited; perhaps long ago.
            self._adopt(opening, deadline)
            if self.is_usable:
                return
        if self.opening is None:
            self.close()
            self.opening = Opening(self._connect, max(CONNECT_PATIENCE, deadline.seconds))
        self._adopt(self.opening, deadline)

    def _adopt(self, opening: Opening, deadline: Deadline) -> None:
        try:
            connection: Any = opening.connection(deadline)
        finally:
            if not opening.is_running:
                self.opening = None
        self.connection = connection
        self._reader = hiredis.Reader(InvalidResponse, connection._parser.parse_error, notEnoughData=_INCOMPLETE)
        self._poll = select.poll()
        self._poll.register(connection._sock, select.POLLIN)

    def close(self) -> None:
        opening, self.opening = self.opening, None
        if opening is not None:
            opening.abandon()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.disconnect()

    @property
    def is_usable(self) -> bool:
        """Whether it is open, still, and nothing unasked for waits in it."""
        return self.connection is not None and not self._poll.poll(0)

    def ask(self, command: tuple[Any, ...], deadline: Deadline) -> Any:
        """Sends a command once and returns its answer.

        Raises an error that the server answers with as redis-py would, :class:`AnswerLost` where no
        answer came, and :class:`~limits.store.errors.DeadlinePassed` where it was not sent.
        """
        sock = self.connection._sock
        packed = hiredis.pack_command(command)
        patience = deadline.remaining()
        sock.settimeout(patience)
        try:
            sock.sendall(packed)
            answer = self._read(sock, deadline)
        except OSError as error:
            is_late = isinstance(error, TimeoutError) and patience < deadline.seconds * ENOUGH
            raise (AnswerLate if is_late else AnswerLost)(f"{type(error).__name__}: {error}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _read(self, sock: Any, deadline: Deadline) -> Any:
        reader = self._reader
        reader.feed(_received(sock))
        while (answer := reader.gets()) is _INCOMPLETE:
            sock.settimeout(deadline.left())
            reader.feed(_received(sock))
        return answer


def _received(sock: Any) -> bytes:
    try:
        data: bytes = sock.recv(_AT_ONCE)
    except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
        data = _received_meanwhile(sock)
    if not data:
        raise ConnectionError("The server closed the connection.")
    return data


def _received_meanwhile(sock: Any) -> bytes:
    """A last look, without waiting: a process that did not run (garbage collection, other threads, a
    stop) notices its deadline before the answer that came in time."""
    sock.settimeout(0)
    try:
        data: bytes = sock.recv(_AT_ONCE)
    except (BlockingIOError, ssl.SSLWantReadError):
        raise TimeoutError("No answer within the deadline.") from None
    return data


@contextmanager
def opened(make: Callable[[], Connection], deadline: Deadline) -> Iterator[Wire]:
    """A wire to what ``make`` makes, open; closed at the end."""
    wire = Wire(connect_by(make))
    try:
        wire.open(deadline)
        yield wire
    finally:
        wire.close()
