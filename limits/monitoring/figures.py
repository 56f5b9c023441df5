"""Figures for people: recent requests and denials, by client and endpoint.

Plain functions over the rows of usage, each with a query or two over the hours and the minutes not yet rolled
up; with ten million minute rows each answers within a second (``make bench-usage``). ``now`` is for tests.
Names are display names, with “(other)” and “(unknown)” for empty ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from limits.models import Alert, Client, Progress, QuotaThreshold, Work
from limits.models.trees import keys_below
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT
from limits.monitoring.rollups import TimeRange
from limits.monitoring.statements import Statements

ONE_HOUR = timedelta(hours=1)
HOURS_PER_DAY = 24
_SQL = Statements("figures")


@dataclass(frozen=True, slots=True)
class HourOfRequests:
    """The requests of one hour by outcome."""

    hour: datetime
    admitted: int = 0
    denied: int = 0
    blocked: int = 0
    exempt: int = 0

    @property
    def requests(self) -> int:
        """All requests of the hour, whatever their outcome."""
        return self.admitted + self.denied + self.blocked + self.exempt


@dataclass(frozen=True, slots=True)
class Throttled:
    """A client or an endpoint, with the numbers of denied requests and of all requests."""

    name: str
    denied: int
    requests: int

    @property
    def ratio(self) -> float:
        """The fraction of requests that were denied, 0 to 1."""
        return self.denied / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class CloseToLimit:
    """A client that reached ``mark`` percent of a policy's quota, and the time when it last did."""

    client: str
    policy: str
    mark: int
    last: datetime


@dataclass(frozen=True, slots=True)
class UnknownEndpoints:
    """Requests on unregistered endpoints, and the clients that sent most of them."""

    requests: int
    clients: Sequence[tuple[str, int]]


@transaction.atomic
def requests_by_hour(now: datetime | None = None, hours: int = HOURS_PER_DAY) -> list[HourOfRequests]:
    """Returns ``hours`` hours, oldest first, including those without requests; the last is the present hour."""
    period = TimeRange.hours(now or timezone.now(), hours)
    return _by_hour(period, _SQL.rows("requests_by_hour", **period.parameters()))


@transaction.atomic
def client_by_hour(client: str, now: datetime | None = None, hours: int = HOURS_PER_DAY) -> list[HourOfRequests]:
    """Returns ``hours`` hours with the requests of one client and of all clients below it, as
    :func:`requests_by_hour` does for all."""
    keys = _keys_of_tree(client)
    period = TimeRange.hours(now or timezone.now(), hours)
    return _by_hour(period, _SQL.rows("clients_by_hour", names=keys, **period.parameters()))


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """A client, and its own requests of the last 24 hours and of the last hour. ``share``: its
    fraction of the requests of all clients of the tree, 0 to 1."""

    client: str
    requests: int
    denied: int
    last_hour: int
    share: float

    @property
    def percent(self) -> str:
        """The share in percent, with one decimal below ten: “42”, “0.7”."""
        percent = 100 * self.share
        return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}"


@transaction.atomic
def most_requests_in_tree(client: str, now: datetime | None = None, count: int = 10) -> list[TreeUsage]:
    """Returns up to ``count`` clients among a client and all below it, those with the most requests of the last 24
    hours first. The requests are each client's own, without those of the clients below it."""
    keys = _keys_of_tree(client)
    now = now or timezone.now()
    day = TimeRange.hours(now, HOURS_PER_DAY).parameters()
    rows = _SQL.rows("most_requests_of_clients", names=keys, count=count, **day)
    minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    hour = TimeRange.between(minute - ONE_HOUR, minute).parameters()
    recent = dict(_SQL.rows("requests_of_clients", names=[row[0] for row in rows], **hour)) if rows else {}
    return [
        TreeUsage(key, requests, denied, recent.get(key, 0), requests / total) for key, requests, denied, total in rows
    ]


@dataclass(frozen=True, slots=True)
class ReservedCost:
    """The cost of reservations in some period, and the number of settlements. ``debited`` includes charges."""

    reserved: int
    settlements: int
    settled: int
    refunded: int
    debited: int
    overdrawn: int


@transaction.atomic
def reserved_cost(now: datetime | None = None, hours: int = HOURS_PER_DAY) -> ReservedCost | None:
    """Returns the figures of all clients in the last ``hours`` clock hours; None if there were neither reservations nor
    settlements nor charges."""
    return _reserved_cost(None, now, hours)


@transaction.atomic
def client_reserved_cost(client: str, now: datetime | None = None, hours: int = HOURS_PER_DAY) -> ReservedCost | None:
    """Returns the figures of one client and of all clients below it, as :func:`reserved_cost` does for all."""
    return _reserved_cost(_keys_of_tree(client), now, hours)


def _reserved_cost(keys: list[str] | None, now: datetime | None, hours: int) -> ReservedCost | None:
    period = TimeRange.hours(now or timezone.now(), hours)
    (row,) = _SQL.rows("reserved_cost", names=keys, **period.parameters())
    return ReservedCost(*row) if any(row) else None


def _keys_of_tree(client: str) -> list[str]:
    return [client, *keys_below([client], Client.objects.all())]


def _by_hour(period: TimeRange, rows: Sequence[tuple[Any, ...]]) -> list[HourOfRequests]:
    found: dict[datetime, dict[str, int]] = {}
    for hour, outcome, requests in rows:
        found.setdefault(hour, {})[outcome] = requests
    begins = [period.begin + number * ONE_HOUR for number in range((period.end - period.begin) // ONE_HOUR)]
    return [HourOfRequests(hour, **found.get(hour, {})) for hour in begins]


@transaction.atomic
def most_throttled_clients(now: datetime | None = None, count: int = 10) -> list[Throttled]:
    """Returns up to ``count`` clients with the most denied requests of the last 24 hours."""
    return _most_throttled("most_denied_clients", "requests_of_clients", OTHER, now or timezone.now(), count)


@transaction.atomic
def most_throttled_endpoints(now: datetime | None = None, count: int = 10) -> list[Throttled]:
    """Returns up to ``count`` endpoints with the most denied requests of the last 24 hours."""
    now = now or timezone.now()
    return _most_throttled("most_denied_endpoints", "requests_on_endpoints", UNKNOWN_ENDPOINT, now, count)


def _most_throttled(denied_by: str, requests_by: str, nameless: str, now: datetime, count: int) -> list[Throttled]:
    """Finds the most denied by the index of denied rows, and then all requests of those few; ``denied_by`` and
    ``requests_by`` are names of statements."""
    period = TimeRange.hours(now, HOURS_PER_DAY).parameters()
    denied: dict[str, int] = dict(_SQL.rows(denied_by, count=count, **period))
    requests: dict[str, int] = dict(_SQL.rows(requests_by, names=list(denied), **period))
    # A client that is erased between the two statements no longer has rows.
    return [Throttled(name or nameless, amount, requests.get(name, amount)) for name, amount in denied.items()]


def close_to_a_limit(now: datetime | None = None, within: timedelta = ONE_HOUR, count: int = 10) -> list[CloseToLimit]:
    """Returns clients that recently reached a quota threshold: the highest one for each client and policy,
    highest first."""
    now = now or timezone.now()
    reached = QuotaThreshold.objects.filter(minute__gt=now - within, minute__lte=now)
    highest = reached.values_list("client_key", "policy").annotate(highest=Max("mark"), last=Max("minute"))
    rows = highest.order_by("-highest", "-last", "client_key", "policy")[:count]
    return [CloseToLimit(client or OTHER, policy, mark, last) for client, policy, mark, last in rows]


@transaction.atomic
def unknown_endpoints(now: datetime | None = None, count: int = 10) -> UnknownEndpoints:
    """Returns the requests of the last 24 hours on unregistered endpoints."""
    period = TimeRange.hours(now or timezone.now(), HOURS_PER_DAY)
    rows = _SQL.rows("clients_on_unknown_endpoints", count=count, **period.parameters())
    clients = [(client or OTHER, requests) for client, requests, _ in rows]
    return UnknownEndpoints(rows[0][2] if rows else 0, clients)


@transaction.atomic
def requests_without_client(now: datetime | None = None) -> int:
    """Returns the number of requests in the last 24 hours whose callers were counted together for lack of
    space."""
    period = TimeRange.hours(now or timezone.now(), HOURS_PER_DAY)
    return _SQL.number("requests_without_client", **period.parameters())


@transaction.atomic
def requests_on_endpoint(endpoint: str, now: datetime | None = None) -> int:
    """Returns the number of requests on an endpoint (empty: on all of them) in the last 24 hours."""
    period = TimeRange.hours(now or timezone.now(), HOURS_PER_DAY)
    if not endpoint:
        return sum(each.requests for each in requests_by_hour(now))
    return sum(number for _, number in _SQL.rows("requests_on_endpoints", names=[endpoint], **period.parameters()))


def open_alerts(count: int = 10) -> list[Alert]:
    """Returns up to ``count`` open alerts, newest first."""
    return list(Alert.objects.filter(resolved_at=None).select_related("rule")[:count])


def counted_until() -> datetime | None:
    """Returns the time up to which these figures include all counts; None if the drain never ran."""
    return Progress.of(Work.DRAIN)
