"""The data plane's connections to one server, and the circuit breaker of that server.

One deadline covers the wait for a connection, opening it, and the answer. A command is never sent
twice: a script that was sent may have run.

While a server is known to be unavailable, no check waits for it: the first failure opens the breaker (M. Nygard,
“Release It!”, chapter 5). A thread then probes the server, one probe at a time, and closes the breaker
after the first success, whether requests arrive or not. Each master of a Cluster has its own breaker, so
that the loss of one does not degrade the clients of the others.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from redis import Connection, exceptions

from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store import observers
from ratelimit_enforcer.store.connections.opening import Opening, open_connection
from ratelimit_enforcer.store.connections.pool import BoundedPool, RawConnection
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import (
    AnswerLate,
    NotSent,
    SlotMoving,
    StillConnecting,
    StoreUnavailable,
    outage_of,
    translating_redis_errors,
)

log = logging.getLogger(__name__)

PROBE_INTERVAL = 0.25
"""Seconds between two probes."""


class Outages:
    """The outages of one store, from all its breakers. An outage begins when the first server becomes
    unavailable, and ends when all are available again. Thread-safe."""

    def __init__(self) -> None:
        renew_after_fork(self)

    def renew(self) -> None:
        """Starts without an outage; also in a forked child, where no probe runs."""
        self._lock = threading.Lock()
        self._unavailable = 0
        self.trips = 0
        """The number of outages so far, including the current one."""

    @property
    def is_open(self) -> bool:
        """Whether a server is known to be unavailable."""
        return self._unavailable > 0

    def record_unavailable(self) -> None:
        """Records that a server became unavailable."""
        with self._lock:
            self.trips += self._unavailable == 0
            self._unavailable += 1

    def record_available(self) -> None:
        """Records that a server is available again."""
        with self._lock:
            self._unavailable -= 1


class Breaker:
    """Open while one server is known to be unavailable. Thread-safe."""

    def __init__(
        self, probe: Callable[[], None], interval: float = PROBE_INTERVAL, outages: Outages | None = None
    ) -> None:
        """``probe`` returns if the server can serve requests, and raises :class:`StoreUnavailable` if it
        cannot. ``interval``: seconds between two probes."""
        self._probe = probe
        self.interval = interval
        self.outages = outages or Outages()
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self.is_open = False

    def trip(self, problem: str) -> bool:
        """Opens the breaker, unless it is open. Returns whether it was closed before."""
        with self._lock:
            if self.is_open:
                return False
            self.is_open = True
        self.outages.record_unavailable()
        log.warning("store_unavailable: %s", problem, extra={"event": "store_unavailable", "error": problem})
        observers.observer.breaker_changed(is_open=True)
        self._opened_at = time.monotonic()
        threading.Thread(target=_watch, args=(weakref.ref(self),), name="store-probe", daemon=True).start()
        return True

    def probe(self) -> bool:
        """Probes the server once, and closes the breaker on success. Returns whether it did."""
        if not self._is_available():
            return False
        seconds = round(time.monotonic() - self._opened_at, 3)
        log.warning("store_available: after %s s", seconds, extra={"event": "store_available", "seconds": seconds})
        with self._lock:
            self.is_open = False
        self.outages.record_available()
        observers.observer.breaker_changed(is_open=False)
        return True

    def _is_available(self) -> bool:
        try:
            self._probe()
        except StoreUnavailable:
            return False
        except exceptions.RedisError:
            # The server answers, but something else is wrong: requests will find and report that.
            return True
        return True


def _watch(reference: "weakref.ref[Breaker]") -> None:
    """Probes until the server is available again, or the breaker is no longer in use."""
    while (breaker := reference()) is not None and not breaker.probe():
        interval = breaker.interval
        del breaker
        time.sleep(interval)


PROBE_TIMEOUT = 0.5
"""Timeout of a probe of an unavailable server, in seconds."""


class StoreConnections(Protocol):
    """The data plane's connections of this process, for any topology of the store."""

    outages: Outages

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        """Sends one command once, to the server of ``key``, and returns its answer.

        Raises :class:`StoreUnavailable` for an outage (without waiting if it is known already), and other
        Redis errors unchanged.
        """


class ServerConnections:
    """A bounded pool of connections to one server, shared by threads; a forked child starts with an
    empty pool."""

    def __init__(
        self,
        make: Callable[[], Connection],
        size: int,
        *,
        probe_key: str = "rl:probe",
        outages: Outages | None = None,
    ) -> None:
        """A probe writes ``probe_key`` to find out whether the server is available again. ``outages``: those
        of the store that this server is a part of; None if the server is the whole store."""
        self._make_connection = make
        self._size = size
        self._probe_key = probe_key
        self.outages = outages or Outages()
        self._breaker = Breaker(self._probe, outages=self.outages)
        renew_after_fork(self)

    def renew(self) -> None:
        self._pool = BoundedPool(self._connect, self._size)
        self._slow_opening: Opening | None = None
        self._suspecting = threading.Lock()
        self._drops = 0

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        """See :meth:`StoreConnections.execute`; every key is on this server."""
        return self._run(RawConnection.execute, command, deadline)

    def execute_asking(self, *command: Any, deadline: Deadline) -> Any:
        """Like :meth:`execute`, for a key whose slot is moving here from another master (ASKING)."""
        return self._run(_execute_asking, command, deadline)

    def _run(self, execute: "Execute", command: tuple[Any, ...], deadline: Deadline) -> Any:
        if self._breaker.is_open:
            raise StoreUnavailable("The store is known to be unavailable.")
        connection = self._pool.acquire(deadline)
        began = time.perf_counter()
        try:
            return self._execute_on(execute, connection, command, deadline)
        except exceptions.RedisError as error:
            if (outage := outage_of(error)) is None:
                raise
            self._report(outage)
            raise outage from error
        except StoreUnavailable as error:
            self._report(error)
            if deadline.is_shortened and isinstance(error, AnswerLate):
                self._suspect()
            raise
        finally:
            self._pool.release(connection)
            observers.observer.store_called(time.perf_counter() - began)

    def _report(self, outage: StoreUnavailable) -> None:
        """Reports the outage, and opens the breaker if the outage shows that the server is unavailable."""
        self._trip(outage)
        if not isinstance(outage, SlotMoving):
            observers.observer.store_failed(outage)

    def _trip(self, outage: StoreUnavailable) -> None:
        if outage.opens_breaker and self._breaker.trip(str(outage)):
            self.drop_connections()

    def _suspect(self) -> None:
        """Finds out in a thread whether the server is unavailable, and opens the breaker if it is: callers that wait
        for less than usual cannot tell, and would all wait while the server hangs."""
        if self._suspecting.acquire(blocking=False):
            threading.Thread(target=self._probe_suspected, name="store-suspected", daemon=True).start()

    def _probe_suspected(self) -> None:
        try:
            self._probe()
        except exceptions.RedisError:
            return
        except StoreUnavailable as outage:
            self._trip(outage)
        finally:
            self._suspecting.release()

    def drop_connections(self) -> None:
        """Drops every connection, so that new ones are opened to the server's current address."""
        self._drops += 1
        self._pool.drop_all()

    def _execute_on(
        self, execute: "Execute", connection: RawConnection, command: tuple[Any, ...], deadline: Deadline
    ) -> Any:
        try:
            if not connection.is_usable:
                self._open(connection, deadline)
            return execute(connection, command, deadline)
        except (exceptions.ResponseError, NotSent):
            raise
        except BaseException:
            connection.close()
            raise

    def _open(self, connection: RawConnection, deadline: Deadline) -> None:
        """Opens a connection; fails at once while another one is known to take longer than a deadline."""
        if self._slow_opening is not None and self._slow_opening.is_running:
            raise StillConnecting("Connecting to the store takes longer than the deadline.")
        try:
            connection.open(deadline)
        except StillConnecting:
            if not deadline.is_shortened:
                self._slow_opening = connection.opening
            raise

    def _connect(self, timeout: float) -> Connection:
        """Opens a connection, in a separate thread. If that fails, the breaker opens, even if no caller is
        still waiting for the connection."""
        drops = self._drops
        try:
            with translating_redis_errors():
                return self._connected(timeout)
        except StoreUnavailable as outage:
            # If connections were dropped meanwhile, this failure says nothing about the present server.
            if drops == self._drops:
                self._trip(outage)
            raise

    def _connected(self, timeout: float) -> Connection:
        return open_connection(self._make_connection(), timeout)

    def _probe(self) -> None:
        """Writes, because a store that only answers reads cannot decide. The connection then serves the
        first request."""
        deadline = Deadline(PROBE_TIMEOUT)
        connection = self._pool.acquire(deadline)
        try:
            with translating_redis_errors():
                if not connection.is_usable:
                    connection.open(deadline)
                connection.execute(("SET", self._probe_key, 1, "PX", 1000), deadline)
        except NotSent:
            raise
        except BaseException:
            connection.close()
            raise
        finally:
            self._pool.release(connection)


Execute = Callable[[RawConnection, tuple[Any, ...], Deadline], Any]


def _execute_asking(connection: RawConnection, command: tuple[Any, ...], deadline: Deadline) -> Any:
    connection.execute(("ASKING",), deadline)
    try:
        return connection.execute(command, deadline)
    except NotSent:
        # Otherwise, ASKING would apply to the next command.
        connection.close()
        raise
