"""Figures for people: what was asked and denied of late, and by whom.

Plain functions over the rows of usage, each a query or two over the hours and the minutes that are
not in them yet; with ten million minute rows each answers within a second (``make bench-usage``).
``now`` is for tests. Names are as people read them: “(other)” and “(unknown)” for the nameless.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from limits.domain.words import Outcome
from limits.models import Alert, Progress, QuotaCrossing, Work
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT
from limits.monitoring.spans import Span
from limits.monitoring.sql import execute

HOUR = timedelta(hours=1)
DAY_OF_HOURS = 24
_DENIED = f"AND outcome = '{Outcome.DENIED}'"
_NAMELESS_CLIENT, _NAMELESS_ENDPOINT = "AND client_key = ''", "AND endpoint = ''"


@dataclass(frozen=True, slots=True)
class HourOfRequests:
    """The requests of one hour, by how they came out."""

    hour: datetime
    admitted: int = 0
    denied: int = 0
    blocked: int = 0
    exempt: int = 0

    @property
    def requests(self) -> int:
        return self.admitted + self.denied + self.blocked + self.exempt


@dataclass(frozen=True, slots=True)
class Throttled:
    """A client or an endpoint, with its denied requests and all of its requests."""

    name: str
    denied: int
    requests: int

    @property
    def ratio(self) -> float:
        """Denied of all, 0 to 1."""
        return self.denied / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class CloseToLimit:
    """A client that reached ``mark`` percent of a quota of a policy, and when it did so last."""

    client: str
    policy: str
    mark: int
    last: datetime


@dataclass(frozen=True, slots=True)
class UnknownEndpoints:
    """Requests on what nobody registered, and the clients that sent most of them."""

    requests: int
    clients: Sequence[tuple[str, int]]


@transaction.atomic
def requests_by_hour(now: datetime | None = None, hours: int = DAY_OF_HOURS) -> list[HourOfRequests]:
    """So many hours, oldest first, those without requests included; the last is the present one."""
    return _by_hour(Span.hours(now or timezone.now(), hours), "", [])


@transaction.atomic
def client_by_hour(client: str, now: datetime | None = None, hours: int = DAY_OF_HOURS) -> list[HourOfRequests]:
    """The same of one client's requests."""
    return _by_hour(Span.hours(now or timezone.now(), hours), "AND client_key = %s", [client])


def _by_hour(span: Span, condition: str, parameters: Sequence[object]) -> list[HourOfRequests]:
    statement = (
        "SELECT date_trunc('hour', moment, 'UTC'), outcome, sum(requests)::bigint "
        f"FROM {span.usage(condition)} GROUP BY 1, 2"
    )
    found: dict[datetime, dict[str, int]] = {}
    for hour, outcome, requests in execute(statement, span.parameters(*parameters)):
        found.setdefault(hour, {})[outcome] = requests
    begins = [span.begin + number * HOUR for number in range((span.end - span.begin) // HOUR)]
    return [HourOfRequests(hour, **found.get(hour, {})) for hour in begins]


@transaction.atomic
def most_throttled_clients(now: datetime | None = None, count: int = 10) -> list[Throttled]:
    """The clients with the most denied requests of the last 24 hours."""
    return _most_throttled("client_key", OTHER, now or timezone.now(), count)


@transaction.atomic
def most_throttled_endpoints(now: datetime | None = None, count: int = 10) -> list[Throttled]:
    """The endpoints with the most denied requests of the last 24 hours."""
    return _most_throttled("endpoint", UNKNOWN_ENDPOINT, now or timezone.now(), count)


def _most_throttled(column: str, nameless: str, now: datetime, count: int) -> list[Throttled]:
    """First who was denied most, by the index of denied rows, and then all requests of those few."""
    span = Span.hours(now, DAY_OF_HOURS)
    top = f"SELECT {column}, sum(requests)::bigint FROM {{}} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s"
    denied: dict[str, int] = dict(execute(top.format(span.usage(_DENIED)), [*span.parameters(), count]))
    every = f"SELECT {column}, sum(requests)::bigint FROM {{}} GROUP BY 1"
    of_those = f"AND {column} = ANY(%s)"
    requests: dict[str, int] = dict(execute(every.format(span.usage(of_those)), span.parameters(list(denied))))
    # A client that is erased between the two statements has no rows any more.
    return [Throttled(name or nameless, amount, requests.get(name, amount)) for name, amount in denied.items()]


def close_to_a_limit(now: datetime | None = None, within: timedelta = HOUR, count: int = 10) -> list[CloseToLimit]:
    """Who reached a mark of a quota lately: for each client and policy the highest one, highest first."""
    statement = f"""
        SELECT client_key, policy, max(mark), max(minute) FROM {QuotaCrossing._meta.db_table}
        WHERE minute > %s AND minute <= %s GROUP BY 1, 2 ORDER BY 3 DESC, 4 DESC, 1, 2 LIMIT %s
    """
    now = now or timezone.now()
    rows = execute(statement, [now - within, now, count])
    return [CloseToLimit(client or OTHER, policy, mark, last) for client, policy, mark, last in rows]


@transaction.atomic
def unknown_endpoints(now: datetime | None = None, count: int = 10) -> UnknownEndpoints:
    """Requests of the last 24 hours on endpoints that nobody registered."""
    span = Span.hours(now or timezone.now(), DAY_OF_HOURS)
    statement = (
        "SELECT client_key, sum(requests)::bigint, (sum(sum(requests)) OVER ())::bigint "
        f"FROM {span.usage(_NAMELESS_ENDPOINT)} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s"
    )
    rows = execute(statement, [*span.parameters(), count])
    clients = [(client or OTHER, requests) for client, requests, _ in rows]
    return UnknownEndpoints(rows[0][2] if rows else 0, clients)


@transaction.atomic
def callers_folded(now: datetime | None = None) -> int:
    """Requests of the last 24 hours whose callers were counted together, for want of room."""
    span = Span.hours(now or timezone.now(), DAY_OF_HOURS)
    statement = f"SELECT coalesce(sum(requests), 0)::bigint FROM {span.usage(_NAMELESS_CLIENT)}"
    return int(execute(statement, span.parameters())[0][0])


def open_alerts(count: int = 10) -> list[Alert]:
    """The alerts that are open, newest first."""
    return list(Alert.objects.filter(resolved_at=None).select_related("rule")[:count])


def counted_until() -> datetime | None:
    """Until when all counts are in these figures; None: nobody ever brought any."""
    return Progress.of(Work.DRAIN)
