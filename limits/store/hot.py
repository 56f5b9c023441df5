"""The data plane's connections to one server.

One deadline covers the wait for a connection, the connecting and the answer. A command is never
sent a second time: a script whose bytes have left may have run.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from redis import Connection, exceptions

from limits.forking import renewed_when_forked
from limits.store import observers
from limits.store.breaker import Breaker, Outages
from limits.store.connecting import Opening, connected
from limits.store.deadline import Deadline
from limits.store.errors import NotAsked, SlotMoving, StillConnecting, StoreUnavailable, outage_of, outages_named
from limits.store.wire import Wire
from limits.store.wire_pool import WirePool

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
        self.outages = outages or Outages()
        self._breaker = Breaker(self._probe, outages=self.outages)
        renewed_when_forked(self)

    def renew(self) -> None:
        self._wires = WirePool(self._connect, self._size)
        self._slow_opening: Opening | None = None
        self._forgotten = 0

    @property
    def is_away(self) -> bool:
        """Whether the server is known to be away."""
        return self._breaker.is_open

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        """As :meth:`HotConnections.execute`; every key is here."""
        return self._run(Wire.ask, command, deadline)

    def execute_asking(self, *command: Any, deadline: Deadline) -> Any:
        """The same for a key that is just moving here from another master."""
        return self._run(_ask_asking, command, deadline)

    def _run(self, ask: "Ask", command: tuple[Any, ...], deadline: Deadline) -> Any:
        if self._breaker.is_open:
            raise StoreUnavailable("The store is known to be away.")
        wire = self._wires.take(deadline)
        began = time.perf_counter()
        try:
            return self._asked(ask, wire, command, deadline)
        except exceptions.RedisError as error:
            if (outage := outage_of(error)) is None:
                raise
            self._note(outage)
            raise outage from error
        except StoreUnavailable as error:
            self._note(error)
            raise
        finally:
            self._wires.give_back(wire)
            observers.observer.store_called(time.perf_counter() - began)

    def _note(self, outage: StoreUnavailable) -> None:
        """Opens the breaker, where the outage shows that the server is unavailable."""
        self._trip(outage)
        if not isinstance(outage, SlotMoving):
            observers.observer.store_failed(outage)

    def _trip(self, outage: StoreUnavailable) -> None:
        if outage.opens_breaker and self._breaker.trip(str(outage)):
            self.forget_idle()

    def forget_idle(self) -> None:
        """Lets go of every connection: the next ones are opened to where the server is by then."""
        self._forgotten += 1
        self._wires.forget()

    def _asked(self, ask: "Ask", wire: Wire, command: tuple[Any, ...], deadline: Deadline) -> Any:
        try:
            if not wire.is_usable:
                self._open(wire, deadline)
            return ask(wire, command, deadline)
        except (exceptions.ResponseError, NotAsked):
            raise
        except BaseException:
            wire.close()
            raise

    def _open(self, wire: Wire, deadline: Deadline) -> None:
        """Nobody waits for a new connection while another is known to take longer than a deadline."""
        if self._slow_opening is not None and self._slow_opening.is_running:
            raise StillConnecting("A connection to the store takes longer than the deadline.")
        try:
            wire.open(deadline)
        except StillConnecting:
            self._slow_opening = wire.opening
            raise

    def _connect(self, patience: float) -> Connection:
        """Opens a connection, in a thread of its own. Where that fails the breaker opens, whether or not
        somebody still waits for it."""
        forgotten = self._forgotten
        try:
            with outages_named():
                return self._connected(patience)
        except StoreUnavailable as outage:
            # Unless the server went and came back meanwhile: then this tells of a time that is over.
            if forgotten == self._forgotten:
                self._trip(outage)
            raise

    def _connected(self, patience: float) -> Connection:
        return connected(self._make(), patience)

    def _probe(self) -> None:
        """Writes, since a store that only answers reads cannot decide. The connection then serves
        the first request."""
        deadline = Deadline(PROBE_PATIENCE)
        wire = self._wires.take(deadline)
        try:
            with outages_named():
                if not wire.is_usable:
                    wire.open(deadline)
                wire.ask(("SET", self._probe_key, 1, "PX", 1000), deadline)
        except NotAsked:
            raise
        except BaseException:
            wire.close()
            raise
        finally:
            self._wires.give_back(wire)


Ask = Callable[[Wire, tuple[Any, ...], Deadline], Any]


def _ask_asking(wire: Wire, command: tuple[Any, ...], deadline: Deadline) -> Any:
    wire.ask(("ASKING",), deadline)
    try:
        return wire.ask(command, deadline)
    except NotAsked:
        # The next command would be the one that is asking.
        wire.close()
        raise
