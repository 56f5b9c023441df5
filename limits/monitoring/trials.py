"""Trials of change sets: the requests of the clients in the share, beside those of all others.

Rows of usage name clients, and whether a client is in the share follows from its root. So PostgreSQL adds up the
requests of each client, and this process chooses the group, client by client; memory does not grow with their number.
Requests of blocked and exempt clients are left out, since no rules decide them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from limits.monitoring.metrics import ONE_MINUTE, minute_of
from limits.monitoring.rollups import ONE_HOUR, TimeRange, hour_of
from limits.monitoring.statements import Statements
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.variants import Share

MAX_PERIOD = timedelta(days=7)
"""A comparison looks back no longer than this."""

_SQL = Statements("trials")


@dataclass(slots=True)
class GroupOfClients:
    """The requests of one group, and the clients that sent them; ``clients_denied`` had at least one request denied."""

    requests: int = 0
    denied: int = 0
    clients: int = 0
    clients_denied: int = 0

    @property
    def denial_rate(self) -> float:
        """The fraction of requests that were denied, 0 to 1."""
        return self.denied / self.requests if self.requests else 0.0

    def add(self, requests: int, denied: int) -> None:
        """Adds one client."""
        self.requests += requests
        self.denied += denied
        self.clients += 1
        self.clients_denied += denied > 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both groups from ``begin`` to ``end``. ``nameless``: requests of callers that were counted together, of which it
    is not known whether they are in the share; they belong to no group."""

    begin: datetime
    end: datetime
    shared: GroupOfClients
    others: GroupOfClients
    nameless: int


Hours = list[tuple[datetime, int, int]]
"""Hours with their requests and denied requests, oldest first."""


@transaction.atomic
def compare(
    share: Share, since: datetime, within: timedelta = MAX_PERIOD, now: datetime | None = None
) -> Comparison | None:
    """Compares both groups from the first whole minute after ``since`` on, or in the time ``within`` before ``now``
    (default: the present), whichever is shorter. Returns None if no whole minute has begun."""
    period = _period(since, within, now)
    if period is None:
        return None
    _SQL.rows("allow_memory")
    groups, nameless = {True: GroupOfClients(), False: GroupOfClients()}, 0
    for key, root, tags, requests, denied in _SQL.stream("requests_of_clients", **period.parameters()):
        if key:
            groups[share.includes(ClientRecord(root, tags=tags or ()))].add(requests, denied)
        else:
            nameless = requests
    return Comparison(period.begin, period.end, groups[True], groups[False], nameless)


@transaction.atomic
def compare_by_hour(
    share: Share, since: datetime, within: timedelta, now: datetime | None = None
) -> tuple[Hours, Hours]:
    """Returns the hours of the same period for the clients in the share, and for all others."""
    period = _period(since, within, now)
    if period is None:
        return [], []
    _SQL.rows("allow_memory")
    hours = list(_hours(period))
    sums = {group: dict.fromkeys(hours, (0, 0)) for group in (True, False)}
    for root, tags, hour, requests, denied in _SQL.stream("requests_of_roots_by_hour", **period.parameters()):
        of_group = sums[share.includes(ClientRecord(root, tags=tags or ()))]
        of_group[hour] = of_group[hour][0] + requests, of_group[hour][1] + denied
    shared, others = ([(hour, *sums[group][hour]) for hour in hours] for group in (True, False))
    return shared, others


def _period(since: datetime, within: timedelta, now: datetime | None) -> TimeRange | None:
    minute = minute_of(now or timezone.now())
    # The store's clock may be ahead.
    end = minute + 2 * ONE_MINUTE
    begin = max(minute_of(since) + ONE_MINUTE, end - within)
    return TimeRange.between(begin, end) if begin <= minute else None


def _hours(period: TimeRange) -> Iterator[datetime]:
    hour = hour_of(period.begin)
    while hour < period.end:
        yield hour
        hour += ONE_HOUR
