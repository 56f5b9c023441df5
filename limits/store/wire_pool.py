"""A bounded number of wires to one server, handed from thread to thread."""

import threading
from collections import deque

from limits.store.connecting import Connect
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable
from limits.store.wire import Wire


class WirePool:
    """At most ``size`` wires; the one that came back last goes first, so that few are opened.

    The deque alone does while there are wires left, since each of its operations is atomic. Who
    finds none says that it waits before it looks again, and who brings one looks afterwards whether
    somebody waits: so one of the two always notices the other.
    """

    def __init__(self, connect: Connect, size: int) -> None:
        self._connect = connect
        self._idle: deque[Wire | None] = deque([None] * size)
        self._generation = 0
        self._returned = threading.Condition()
        self._waiting = 0

    def take(self, deadline: Deadline) -> Wire:
        """A wire, open or not. Raises :class:`StoreUnavailable` where all are in use for too long."""
        try:
            wire = self._idle.pop()
        except IndexError:
            wire = self._wait(deadline)
        return self._of_now(wire)

    def give_back(self, wire: Wire | None) -> None:
        """Lets others have it; None: a new one in its place."""
        self._idle.append(wire)
        if self._waiting:
            with self._returned:
                self._returned.notify()

    def forget(self) -> None:
        """Closes those that nobody uses now, and the others when they come back and are needed."""
        with self._returned:
            self._generation += 1
        for _ in range(len(self._idle)):
            try:
                wire = self._idle.popleft()
            except IndexError:
                return
            if wire is not None:
                wire.close()
            self.give_back(None)

    def _wait(self, deadline: Deadline) -> Wire | None:
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
            raise StoreUnavailable("All connections to the store are in use.")

    def _of_now(self, wire: Wire | None) -> Wire:
        """A new wire in place of none, or of one that was to be forgotten."""
        if wire is not None and wire.generation == self._generation:
            return wire
        if wire is not None:
            wire.close()
        return Wire(self._connect, self._generation)
