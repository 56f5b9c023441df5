"""Settles reservations: the cost that a check consumed is replaced by the actual cost."""

from ratelimit_enforcer.domain.reservations import (
    ReservationId,
    SettledAtAnotherCost,
    Settlement,
    Store,
    UnknownReservation,
)
from ratelimit_enforcer.engine.fallback import Fallback
from ratelimit_enforcer.engine.ruleset_cache import StoreClock
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.requests import SettleableKind
from ratelimit_enforcer.store.reservations import Record, Reservations, SettledRecord


class Settler:
    """Settles reservations for one process. Thread-safe. May be called again after any error: a reservation is settled
    once. All methods raise :class:`~ratelimit_enforcer.store.errors.StoreError` and :class:`UnknownReservation`."""

    def __init__(self, reservations: Reservations, fallback: Fallback, clock: StoreClock) -> None:
        self._reservations = reservations
        self._fallback = fallback
        self._clock = clock

    def settle(self, reservation: str, cost: int | None, deadline: Deadline) -> Settlement:
        """Settles at this cost (None: at what was reserved), and frees the places. Raises
        :class:`SettledAtAnotherCost`."""
        found = ReservationId.parse(reservation)
        if found.store is not Store.SHARD:
            self._fallback.release(found.name)
            return Settlement(reservation, cost or 0, 0, 0)
        record = self._settled(found, cost, self._read(found, deadline), deadline)
        settlement = Settlement(reservation, record.cost, record.refunded, record.overdrawn)
        if cost not in (None, record.cost):
            raise SettledAtAnotherCost(settlement)
        return settlement

    def release(self, reservation: str, deadline: Deadline) -> None:
        """Settles a reservation at a cost of 0; of a check that took places, frees them and keeps the cost. Raises
        :class:`SettledAtAnotherCost`."""
        found = ReservationId.parse(reservation)
        cost: int | None = 0
        if found.store is Store.SHARD and self._read(found, deadline).kind is SettleableKind.REQUEST:
            cost = None
        self.settle(reservation, cost, deadline)

    def _read(self, reservation: ReservationId, deadline: Deadline) -> Record:
        record = self._reservations.read(reservation, deadline)
        if record is None:
            raise UnknownReservation(str(reservation))
        return record

    def _settled(
        self, reservation: ReservationId, cost: int | None, record: Record, deadline: Deadline
    ) -> SettledRecord:
        """Repeats the call if another one has settled the reservation meanwhile, or a calendar period has ended."""
        while not isinstance(record, SettledRecord):
            answer = self._reservations.settle(reservation, record, cost, self._clock.now(), deadline)
            if isinstance(answer, SettledRecord):
                record = answer
            elif answer is None:
                record = self._read(reservation, deadline)
            else:
                self._clock.set(answer)
        if record.parts:
            return self._reservations.finish(reservation, record, self._clock.now(), deadline)
        return record
