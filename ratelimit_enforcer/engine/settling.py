"""Settles reservations: the cost that a check consumed is replaced by the actual cost."""

from contextlib import nullcontext, suppress

from ratelimit_enforcer.domain.reservations import (
    RETENTION,
    ReservationId,
    SettledAtAnotherCost,
    Settlement,
    Store,
    UnknownReservation,
)
from ratelimit_enforcer.engine.fallback import Fallback
from ratelimit_enforcer.engine.ruleset_cache import StoreClock
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.requests import SettleableKind
from ratelimit_enforcer.store.reservations import Record, Reservations, SettledRecord


class Settler:
    """Settles reservations for one process. Thread-safe. May be called again after any error: a reservation is settled
    once. All methods raise :class:`~ratelimit_enforcer.store.errors.StoreError` and :class:`UnknownReservation`."""

    def __init__(self, reservations: Reservations, fallback: Fallback, clock: StoreClock) -> None:
        self._reservations = reservations
        self._fallback = fallback
        self._clock = clock

    def settle(
        self, reservation: str, cost: int | None, deadline: Deadline, *, retention: int = RETENTION
    ) -> Settlement:
        """Settles at this cost (None: at what was reserved), and frees the places. ``retention``: for how many seconds
        the result of a charge is stored. Raises :class:`SettledAtAnotherCost`."""
        found = ReservationId.parse(reservation)
        if found.store is not Store.SHARD:
            return self._settle_in_process(reservation, found, cost, deadline)
        record = self._settled(found, cost, self._read(found, deadline), deadline, retention)
        settlement = Settlement(reservation, record.cost, record.refunded, record.overdrawn)
        if cost not in (None, record.cost):
            raise SettledAtAnotherCost(settlement)
        return settlement

    def refund_newest(self, charge: str, cost: int, deadline: Deadline, *, retention: int) -> int:
        """Refunds up to ``cost`` of the newest usage of the counters of a charge, in place of a debit. Returns the
        largest cost refunded to one of the limits."""
        found = ReservationId.parse(charge)
        return self._settled(found, -cost, self._read(found, deadline), deadline, retention).refunded

    def _settle_in_process(
        self, reservation: str, found: ReservationId, cost: int | None, deadline: Deadline
    ) -> Settlement:
        """Also in the store: it may have decided the request, if only its answer came too late."""
        self._fallback.release(found.name)
        if found.store is Store.PROCESS:
            with suppress(StoreError, UnknownReservation):
                in_store = found._replace(store=Store.SHARD)
                record = self._settled(in_store, cost, self._read(in_store, deadline), deadline, RETENTION)
                return Settlement(reservation, record.cost, record.refunded, record.overdrawn)
        return Settlement(reservation, cost or 0, 0, 0)

    def release(self, reservation: str, deadline: Deadline) -> None:
        """Settles a reservation at a cost of 0; of a check that took places, frees them and keeps the cost. Raises
        :class:`SettledAtAnotherCost`."""
        found = ReservationId.parse(reservation)
        cost: int | None = 0
        with suppress(StoreError) if found.store is Store.PROCESS else nullcontext():
            record = None if found.store is Store.NOWHERE else self._reservations.read(found, deadline)
            if record is not None and record.kind is SettleableKind.REQUEST:
                cost = None
        self.settle(reservation, cost, deadline)

    def record_of(self, reservation: str, deadline: Deadline) -> Record:
        """The record of a reservation in the store."""
        return self._read(ReservationId.parse(reservation), deadline)

    def _read(self, reservation: ReservationId, deadline: Deadline) -> Record:
        record = self._reservations.read(reservation, deadline)
        if record is None:
            raise UnknownReservation(str(reservation))
        return record

    def _settled(
        self, reservation: ReservationId, cost: int | None, record: Record, deadline: Deadline, retention: int
    ) -> SettledRecord:
        """Repeats the call if another one has settled the reservation meanwhile, or a calendar period has ended."""
        while not isinstance(record, SettledRecord):
            now, is_in_parts = self._clock.now(), record.is_in_parts
            answer = self._reservations.settle(reservation, record, cost, now, deadline, retention=retention)
            if isinstance(answer, int):
                self._clock.set(answer)
            elif answer is None or is_in_parts:
                record = self._read(reservation, deadline)
            else:
                record = answer
        return self._reservations.finish(reservation, record, self._clock.now(), deadline)
