"""The unsettled reservations of a client, on its page."""

from dataclasses import dataclass

from limits.store.client import control_client
from limits.store.open_reservations import ClientReservations, OpenReservation
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.dates import moment_of
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.reservations import RETENTION
from ratelimit_enforcer.store.keys import Keys, shard_of
from ratelimit_enforcer.store.requests import SettleableKind

SHOWN = 50
"""The maximum number of reservations that the page lists."""


@dataclass(frozen=True, slots=True)
class ReservationRow:
    """One reservation in words. ``kind``: “reservation”, or “check” if it was made by a check with a concurrency limit.
    ``endpoint``: the slug. ``places``: how many places it holds, and until when; empty: none."""

    made_at: str
    kind: str
    endpoint: str
    cost: int
    settlement: str
    places: str


@dataclass(frozen=True, slots=True)
class ReservationList:
    """The newest reservations of a client, newest first, and the number of others."""

    rows: tuple[ReservationRow, ...] = ()
    more: int = 0


def unsettled_reservations(client: str, root: str) -> ReservationList:
    """Returns those that the client with this key has made; ``root``: the key of the client's root. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
    found = ClientReservations(control_client(), Keys(setting("NAMESPACE"))).read(client, shard_of(root), SHOWN)
    rows = tuple(_row(reservation, found.now) for reservation in found.newest)
    return ReservationList(rows, found.total - len(rows))


def _row(reservation: OpenReservation, now: int) -> ReservationRow:
    record = reservation.record
    return ReservationRow(
        made_at=_time(record.made_at),
        kind="check" if record.kind is SettleableKind.REQUEST else "reservation",
        endpoint=record.endpoint or "(unknown)",
        cost=record.cost,
        settlement=_settlement(record.expires_at, now),
        places=f"{len(reservation.places)} until {_time(max(reservation.places))}" if reservation.places else "",
    )


def _settlement(expires_at: int, now: int) -> str:
    if now < expires_at:
        return f"refundable until {_time(expires_at)}"
    return f"expired; an excess is still debited until {_time(expires_at + RETENTION * SECOND_US)}"


def _time(microseconds: int) -> str:
    """In UTC, with seconds, since many reservations last for less than a minute."""
    return f"{moment_of(microseconds):%-d %b %Y, %H:%M:%S}"
