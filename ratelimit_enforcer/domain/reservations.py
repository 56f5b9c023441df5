"""Reservations: capacity that a check consumed before its cost was known, or for as long as a request is in flight."""

import base64
import binascii
from enum import IntEnum
from typing import NamedTuple

from ratelimit_enforcer.domain.enums import Reason

MAX_SETTLED_COST = 10**9
"""The maximum cost of a settlement or a charge."""

DEFAULT_TTL = 60
MAX_TTL = 3_600
"""Seconds for which a reservation may be refunded."""

RETENTION = 86_400
"""Seconds for which an excess is still debited after a reservation has expired, and for which results are stored."""

MAX_OPEN = 10_000
"""The maximum number of unsettled reservations of one client."""

ID_SIZE = 16


class Store(IntEnum):
    """Where a reservation is: in a shard of the store; in the process that made it during an outage; or nowhere, since
    there is nothing to settle."""

    SHARD = 0
    PROCESS = 1
    NOWHERE = 2


class ReservationId(NamedTuple):
    """Identifies a reservation. Callers see it as an opaque string. ``name``: 128 random bits."""

    store: Store
    shard: int
    name: bytes

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(bytes((self.store, self.shard)) + self.name).decode()

    @classmethod
    def parse(cls, text: str) -> "ReservationId":
        """Raises :class:`UnknownReservation` for text that no reservation has."""
        try:
            content = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            found = cls(Store(content[0]), content[1], content[2:])
        except (binascii.Error, UnicodeEncodeError, IndexError, ValueError) as error:
            raise UnknownReservation(text) from error
        if len(found.name) != ID_SIZE or str(found) != text:
            raise UnknownReservation(text)
        return found


class Reserve(NamedTuple):
    """A request to reserve the cost of a check: refundable for ``ttl`` seconds; at least ``at_least``, and what is
    available up to the cost (None: the whole cost). ``name``: 128 bits, so that a repeated request reserves once
    (None: random ones). ``for_charge``: consumes nothing, since the cost is debited at once."""

    ttl: int = DEFAULT_TTL
    at_least: int | None = None
    name: bytes | None = None
    for_charge: bool = False


class Settlement(NamedTuple):
    """The result of settling a reservation at ``cost``. ``refunded``: the part of the reserved cost that was refunded;
    ``overdrawn``: the largest excess over an enforcing limit that the debit caused."""

    reservation: str
    cost: int
    refunded: int
    overdrawn: int


class Charge(NamedTuple):
    """A cost that was debited without a check. ``cost`` is 0 if nothing was debited, because the client is blocked or
    exempt (``reason``). ``overdrawn``: as for :class:`Settlement`."""

    client: str
    plan: str | None
    endpoint: str | None
    cost: int
    overdrawn: int
    ruleset: int
    reason: Reason | None


class Refund(NamedTuple):
    """A refund of the newest usage. ``refunded``: the largest cost refunded to one of the limits, at most the amount; 0
    if nothing was used, or because the client is blocked or exempt (``reason``)."""

    client: str
    plan: str | None
    endpoint: str | None
    refunded: int
    ruleset: int
    reason: Reason | None


class UnknownReservation(Exception):
    """There is no reservation with this id, or it has ended and is not remembered any more."""

    def __init__(self, reservation: str) -> None:
        super().__init__("There is no such reservation, or it has ended.")
        self.reservation = reservation


class SettledAtAnotherCost(Exception):
    """The reservation was settled before, at another cost."""

    def __init__(self, settlement: Settlement) -> None:
        super().__init__(f"The reservation was settled at a cost of {settlement.cost:,}.")
        self.settlement = settlement
