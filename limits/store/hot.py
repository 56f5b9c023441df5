"""The data plane's connections to one server.

One deadline covers the wait for a connection, the connecting and the answer. A command is never
sent a second time: a script whose bytes have left may have run.
"""

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from redis import Connection, exceptions

from limits.store import observers
from limits.store.breaker import Breaker, Outages
from limits.store.deadline import Deadline
from limits.store.errors import AnswerLost, SlotMoving, StoreUnavailable, outage_of, outages_named
from limits.store.opening import ask, open_by
from limits.store.redis_py import is_connected, read_response

PROBE_PATIENCE = 0.5
"""Seconds that a probe waits for a server that was away."""


class HotConnections(Protocol):
    """The data plane's connections of this process, whatever the store is made of."""

    outages: Outages

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        """Sends one command once, to the server that holds ``key``, and returns its answer.

        Raises :class:`StoreUnavailable` for an outage, at once where it is known already, and other
        errors of Redis as they are.
        """


class ServerConnections:
    """A bounded pool of connections to one server, shared by threads; a forked child begins with an
    empty one."""

    def __init__(
        self,
        make: Callable[[], Connection],
        size: int,
        *,
        probe_key: str = "rl:probe",
        outages: Outages | None = None,
    ) -> None:
        """``probe_key`` is written to find out whether the server is back. ``outages`` are those of
        the store that this server is a part of; where it is the whole store, they are its own."""
        self._make = make
        self._size = size
        self._probe_key = probe_key
        self._own_outages = outages is None
        self.outages = outages or Outages()
        self._begin()
        begin_anew_when_forked(self)

    def _begin(self) -> None:
        if self._own_outages:
            self.outages.begin()
        self._breaker = Breaker(self._probe, outages=self.outages)
        self._idle: deque[Connection] = deque()
        self._free = threading.BoundedSemaphore(self._size)

    @property
    def is_away(self) -> bool:
        """Whether the server is known to be away."""
        return self._breaker.is_open

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        """As :meth:`HotConnections.execute`; every key is here."""
        return self._run(self._send, command, deadline)

    def execute_asking(self, *command: Any, deadline: Deadline) -> Any:
        """The same for a key that is just moving here from another master."""
        return self._run(self._send_asking, command, deadline)

    def _run(self, send: "Send", command: tuple[Any, ...], deadline: Deadline) -> Any:
        if self._breaker.is_open:
            raise StoreUnavailable("The store is known to be away.")
        if not self._free.acquire(blocking=False) and not self._free.acquire(timeout=deadline.remaining()):
            raise StoreUnavailable("All connections to the store are in use.")
        began = time.perf_counter()
        try:
            return self._execute(send, command, deadline)
        except exceptions.RedisError as error:
            if (outage := outage_of(error)) is None:
                raise
            self._note(outage)
            raise outage from error
        except StoreUnavailable as error:
            self._note(error)
            raise
        finally:
            self._free.release()
            observers.observer.store_called(time.perf_counter() - began)

    def _note(self, outage: StoreUnavailable) -> None:
        """Opens the breaker, unless the server is well and only the keys are moving."""
        if isinstance(outage, SlotMoving):
            return
        if self._breaker.trip(str(outage)):
            self.forget_idle()
        observers.observer.store_failed(outage)

    def forget_idle(self) -> None:
        """Lets go of every connection: the next ones are opened to where the server is by then."""
        # A connection in use goes back to the old queue, which nobody asks any more.
        old, self._idle = self._idle, deque()
        while old:
            old.pop().disconnect()

    def _execute(self, send: "Send", command: tuple[Any, ...], deadline: Deadline) -> Any:
        idle = self._idle
        connection = _taken_from(idle) or self._make()
        try:
            if not _is_usable(connection):
                self._open(connection, deadline)
            return _sent(send, connection, command, deadline)
        except exceptions.ResponseError:
            raise
        except BaseException:
            connection.disconnect()
            raise
        finally:
            idle.append(connection)

    def _open(self, connection: Connection, deadline: Deadline) -> None:
        open_by(connection, deadline)

    @staticmethod
    def _send(connection: Connection, command: tuple[Any, ...], deadline: Deadline) -> Any:
        connection.send_command(*command, check_health=False)
        return read_response(connection, deadline.remaining())

    @staticmethod
    def _send_asking(connection: Connection, command: tuple[Any, ...], deadline: Deadline) -> Any:
        ask(connection, "ASKING", deadline=deadline)
        return ask(connection, *command, deadline=deadline)

    def _probe(self) -> None:
        """Writes, since a store that only answers reads cannot decide. The connection then serves
        the first request."""
        deadline = Deadline(PROBE_PATIENCE)
        connection = self._make()
        try:
            with outages_named():
                self._open(connection, deadline)
                ask(connection, "SET", self._probe_key, 1, "PX", 1000, deadline=deadline)
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)


Send = Callable[[Connection, tuple[Any, ...], Deadline], Any]


def _sent(send: Send, connection: Connection, command: tuple[Any, ...], deadline: Deadline) -> Any:
    try:
        return send(connection, command, deadline)
    except exceptions.BusyLoadingError:
        raise
    except (exceptions.ConnectionError, exceptions.TimeoutError, StoreUnavailable) as error:
        raise AnswerLost(f"{type(error).__name__}: {error}") from error


def _taken_from(idle: deque[Connection]) -> Connection | None:
    try:
        return idle.pop()
    except IndexError:
        return None


def _is_usable(connection: Connection) -> bool:
    """Whether it is open, still, and nothing unasked for waits in it."""
    try:
        return is_connected(connection) and not connection.can_read()
    except exceptions.ConnectionError:
        return False


class Forked(Protocol):
    """What a forked child has to begin anew."""

    def _begin(self) -> None: ...


_everybody: "weakref.WeakSet[Forked]" = weakref.WeakSet()


def begin_anew_when_forked(connections: Forked) -> None:
    """A child shares no connection, lock or outage with its parent."""
    _everybody.add(connections)


def _begin_anew() -> None:
    for connections in list(_everybody):
        connections._begin()


os.register_at_fork(after_in_child=_begin_anew)
