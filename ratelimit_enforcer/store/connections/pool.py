"""A bounded pool of connections to one server, shared by threads.

redis-py opens a connection, because it handles addresses, TLS and logins, but does not send the commands. A
command is packed by hiredis and sent once, and its answer is read. redis-py does more for each command
(retries, hooks, events), which costs as much as the round trip (benchmarks/NOTES.md).
"""

import select
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import hiredis
from redis import Connection
from redis.exceptions import InvalidResponse

from ratelimit_enforcer.store.connections.opening import Connect, Opening, connector
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AnswerLate, AnswerLost, NotSent

_READ_SIZE = 65_536
"""Bytes of an answer to read at once; most answers have a few hundred."""

CONNECT_TIMEOUT = 0.5
"""Seconds that each step of opening a connection may take, unless the deadline is longer."""

MIN_SERVER_SHARE = 0.5
"""The fraction of a deadline that a server must have had before it is considered unavailable."""

_INCOMPLETE = object()


class RawConnection:
    """A connection for one caller at a time."""

    __slots__ = ("__weakref__", "_connect", "_disconnect", "_poll", "_reader", "connection", "generation", "opening")

    def __init__(self, connect: Connect, generation: int = 0) -> None:
        """``connect`` opens redis-py's connection. ``generation`` lets a pool recognize old connections."""
        self._connect = connect
        self.connection: Any = None
        self.opening: Opening | None = None
        self.generation = generation

    def open(self, deadline: Deadline) -> None:
        """Connects, or waits for a connection attempt that is under way. Raises redis-py's exceptions, and
        :class:`~ratelimit_enforcer.store.errors.StillConnecting`; the next call then continues to wait."""
        opening = self.opening
        if opening is not None and not opening.is_running:
            # The connection was opened after the last caller stopped waiting, perhaps long ago.
            self._adopt(opening, deadline)
            if self.is_usable:
                return
        if self.opening is None:
            self.close()
            self.opening = Opening(self._connect, max(CONNECT_TIMEOUT, deadline.seconds))
        self._adopt(self.opening, deadline)

    def _adopt(self, opening: Opening, deadline: Deadline) -> None:
        try:
            connection: Any = opening.connection(deadline)
        finally:
            if not opening.is_running:
                self.opening = None
        self.connection = connection
        # When an engine is garbage, the connections close before Python warns about their open sockets.
        self._disconnect = finalize(self, connection.disconnect)
        self._disconnect.atexit = False
        self._reader = hiredis.Reader(InvalidResponse, connection._parser.parse_error, notEnoughData=_INCOMPLETE)
        self._poll = select.poll()
        self._poll.register(connection._sock, select.POLLIN)

    def close(self) -> None:
        """Closes the connection, and abandons one that is being opened; :meth:`open` opens a new one."""
        opening, self.opening = self.opening, None
        if opening is not None:
            opening.abandon()
        connection, self.connection = self.connection, None
        if connection is not None:
            self._disconnect()

    @property
    def is_usable(self) -> bool:
        """Whether the connection is open and has no unread data."""
        return self.connection is not None and not self._poll.poll(0)

    def execute(self, command: tuple[Any, ...], deadline: Deadline) -> Any:
        """Sends a command once and returns its answer.

        Raises the server's error as redis-py's exception, :class:`AnswerLost` if no answer arrived, and
        :class:`~ratelimit_enforcer.store.errors.DeadlinePassed` if the command was not sent.
        """
        sock = self.connection._sock
        packed = hiredis.pack_command(command)
        timeout = deadline.remaining()
        sock.settimeout(timeout)
        try:
            sock.sendall(packed)
            answer = self._read(sock, deadline)
        except OSError as error:
            is_late = isinstance(error, TimeoutError) and timeout < deadline.seconds * MIN_SERVER_SHARE
            raise (AnswerLate if is_late else AnswerLost)(f"{type(error).__name__}: {error}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _read(self, sock: Any, deadline: Deadline) -> Any:
        reader = self._reader
        reader.feed(_receive(sock))
        while (answer := reader.gets()) is _INCOMPLETE:
            sock.settimeout(deadline.seconds_left())
            reader.feed(_receive(sock))
        return answer


def _receive(sock: Any) -> bytes:
    try:
        data: bytes = sock.recv(_READ_SIZE)
    except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
        data = _receive_without_waiting(sock)
    if not data:
        raise ConnectionError("The server closed the connection.")
    return data


def _receive_without_waiting(sock: Any) -> bytes:
    """Reads once more without waiting: a process that was not running (garbage collection, other threads,
    SIGSTOP) notices the deadline before an answer that arrived in time."""
    sock.settimeout(0)
    try:
        data: bytes = sock.recv(_READ_SIZE)
    except (BlockingIOError, ssl.SSLWantReadError):
        raise TimeoutError("No response within the deadline.") from None
    return data


@contextmanager
def opened(make: Callable[[], Connection], deadline: Deadline) -> Iterator[RawConnection]:
    """An open connection, made by ``make``; closed at the end of the block."""
    connection = RawConnection(connector(make))
    try:
        connection.open(deadline)
        yield connection
    finally:
        connection.close()


class BoundedPool:
    """At most ``size`` connections; the one returned last is used first, so that few are opened.

    While connections are idle, the deque suffices, because each of its operations is atomic. A thread that
    finds none registers as waiting before it looks again, and a thread that returns one checks afterwards
    whether another is waiting. So one of the two always notices the other.
    """

    def __init__(self, connect: Connect, size: int) -> None:
        self._connect = connect
        self._idle: deque[RawConnection | None] = deque([None] * size)
        self._generation = 0
        self._returned = threading.Condition()
        self._waiting = 0

    def acquire(self, deadline: Deadline) -> RawConnection:
        """A connection, open or not. Raises :class:`~ratelimit_enforcer.store.errors.NotSent` if all are in use until
        the deadline."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._wait(deadline)
        return self._of_current_generation(connection)

    def release(self, connection: RawConnection | None) -> None:
        """Returns a connection to the pool; None: a new one in its place."""
        self._idle.append(connection)
        if self._waiting:
            with self._returned:
                self._returned.notify()

    def drop_all(self) -> None:
        """Closes idle connections now, and those in use when they are acquired the next time."""
        with self._returned:
            self._generation += 1
        for _ in range(len(self._idle)):
            try:
                connection = self._idle.popleft()
            except IndexError:
                return
            if connection is not None:
                connection.close()
            self.release(None)

    def _wait(self, deadline: Deadline) -> RawConnection | None:
        with self._returned:
            self._waiting += 1
            try:
                while True:
                    try:
                        return self._idle.pop()
                    except IndexError:
                        self._wait_once(deadline)
            finally:
                self._waiting -= 1

    def _wait_once(self, deadline: Deadline) -> None:
        if not self._returned.wait(deadline.remaining()) and not self._idle:
            raise NotSent("All connections to the store are in use.")

    def _of_current_generation(self, connection: RawConnection | None) -> RawConnection:
        """``connection``, or a new one if there is none or if it was made before :meth:`drop_all`."""
        if connection is not None and connection.generation == self._generation:
            return connection
        if connection is not None:
            connection.close()
        return RawConnection(self._connect, self._generation)
