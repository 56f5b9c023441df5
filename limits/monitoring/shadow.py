"""What a policy in shadow mode would have denied: by day, and by client.

Requests are read from the table with the finest times that still has them: minutes that are not rolled up yet, then
hours, and days for as long as hours are not kept. So is the time of a client's first and last request, which is known
to the minute only while minutes are kept. Rows by day name registered clients only.

Only requests that were admitted are counted. The emergency switch puts all policies into shadow mode while it is on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from limits.models import Work
from limits.models.usage import OTHER
from limits.monitoring.own_connection import own_connection
from limits.monitoring.rollups import ONE_HOUR, ONE_MINUTE, TimeRange, hour_of, lock_progress
from limits.monitoring.statements import Statements
from ratelimit_enforcer.conf import setting

ONE_DAY = timedelta(days=1)

CHUNK_SIZE = 1_000
"""Clients that are read at once for a file."""

_SQL = Statements("shadow")


@dataclass(frozen=True, slots=True)
class Report:
    """The subject of a report: the slugs of a policy and of its endpoint (empty: all requests), and whole days, UTC:
    from ``begin`` until ``end``, the end excluded."""

    policy: str
    endpoint: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Day:
    """A day (UTC) and the number of requests that would have been denied."""

    begin: datetime
    requests: int


@dataclass(frozen=True, slots=True)
class Between:
    """When a request was made: not before ``begin``, and before ``end``."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class WouldDeny:
    """A client (empty: callers that are counted together): its requests that would have been denied, all of its
    requests on the endpoints concerned, and when the first and the last one was made that would have been denied."""

    client: str
    would_deny: int
    requests: int
    first: Between
    last: Between

    @property
    def client_name(self) -> str:
        """The client as shown to people: the key, or “(other)”."""
        return self.client or OTHER


@dataclass(frozen=True, slots=True)
class Clients:
    """Some clients of a report, and the number of all."""

    rows: Sequence[WouldDeny]
    total: int


@dataclass(frozen=True, slots=True)
class RecordedTime:
    """What is read from which table: days from ``first_day`` until ``last_day``, and what follows as
    :class:`~limits.monitoring.rollups.TimeRange` says."""

    first_day: datetime
    last_day: datetime
    later: TimeRange

    @classmethod
    def of(cls, report: Report, now: datetime) -> "RecordedTime":
        """The rows have to be read in the same transaction."""
        last_day = min(max(report.begin, _hours_kept_from(now)), report.end)
        return cls(report.begin, last_day, TimeRange.between(last_day, report.end))

    def parameters(self) -> dict[str, datetime]:
        """Returns all times as parameters of a statement."""
        return self.later.parameters() | {"first_day": self.first_day, "last_day": self.last_day}


def _hours_kept_from(now: datetime) -> datetime:
    """Returns the time from which on hours are complete; days include everything before it."""
    mark = lock_progress(Work.DAYS).get(Work.DAYS)
    kept = _next_day(now - timedelta(days=setting("KEEP_HOURS")))
    return min(kept, mark) if mark else datetime.min.replace(tzinfo=now.tzinfo)


def _next_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) + ONE_DAY


def _parameters(report: Report, now: datetime) -> dict[str, Any]:
    return RecordedTime.of(report, now).parameters() | {"policy": report.policy}


@transaction.atomic
def by_day(report: Report, now: datetime | None = None) -> list[Day]:
    """Returns every day of the report, also those without requests."""
    found = dict(_SQL.rows("would_deny_by_day", **_parameters(report, now or timezone.now())))
    begins = (report.begin + number * ONE_DAY for number in range((report.end - report.begin) // ONE_DAY))
    return [Day(begin, found.get(begin, 0)) for begin in begins]


@transaction.atomic
def clients(
    report: Report, beginning: str = "", count: int = 50, skipped: int = 0, now: datetime | None = None
) -> Clients:
    """Returns ``count`` clients after the first ``skipped`` ones, of those whose keys begin with ``beginning``: those
    with the most requests that would have been denied first."""
    now = now or timezone.now()
    chosen = {"beginning": beginning, "count": count, "skipped": skipped}
    rows = _SQL.rows("would_deny_by_client", **chosen, **_parameters(report, now))
    return Clients(_completed(report, rows, now), rows[0][-1] if rows else 0)


def every_client(report: Report, beginning: str = "", now: datetime | None = None) -> Iterator[WouldDeny]:
    """Yields all clients in the same order, with few of them in memory: PostgreSQL keeps the result, and no rollup
    waits while it is read."""
    now = now or timezone.now()
    chosen = {"beginning": beginning, "count": None, "skipped": 0}
    with own_connection() as database:
        with transaction.atomic(), database.connection.transaction():
            parameters = _parameters(report, now)
            cursor = database.connection.cursor(name="would_deny_by_client", withhold=True)
            cursor.execute(_SQL.by_name["would_deny_by_client"], chosen | parameters)
        try:
            for rows in iter(partial(cursor.fetchmany, CHUNK_SIZE), []):
                with transaction.atomic():
                    found = _completed(report, rows, now)
                yield from found
        finally:
            cursor.close()


def _completed(report: Report, rows: Sequence[tuple[Any, ...]], now: datetime) -> list[WouldDeny]:
    """Adds all requests of the clients, and the minutes of hours whose minutes are kept."""
    names = [row[0] for row in rows]
    parameters = _parameters(report, now) | {"clients": names, "on_endpoint": report.endpoint or None}
    requests = dict(_SQL.rows("requests_of_clients", **parameters)) if rows else {}
    found = [
        WouldDeny(client, amount, requests.get(client, amount), Between(*times[:2]), Between(*times[2:]))
        for client, amount, *times, _ in rows
    ]
    return list(_by_minute(report, found, now))


def _by_minute(report: Report, found: Sequence[WouldDeny], now: datetime) -> Iterator[WouldDeny]:
    kept_from = now - timedelta(days=setting("KEEP_MINUTES"))
    minutes = _minutes_of(report, sorted({hour for each in found for hour in _hours_of(each, kept_from)}))
    for each in found:
        first, _ = minutes.get((each.client, hour_of(each.first.begin)), (each.first, None))
        _, last = minutes.get((each.client, hour_of(each.last.begin)), (None, each.last))
        yield replace(each, first=first, last=last)


def _hours_of(found: WouldDeny, kept_from: datetime) -> Iterator[tuple[str, datetime]]:
    """Yields the client and the hour of each time that is known to the hour, if its minutes are kept."""
    for time in (found.first, found.last):
        if ONE_MINUTE < time.end - time.begin <= ONE_HOUR and hour_of(time.begin) >= kept_from:
            yield found.client, hour_of(time.begin)


def _minutes_of(report: Report, hours: Sequence[tuple[str, datetime]]) -> dict[tuple[str, datetime], Any]:
    """Returns for clients and hours when the first and the last request was made: (client, hour) → two times."""
    names, begins = zip(*hours, strict=True) if hours else ((), ())
    rows = _SQL.rows("minutes_of_hours", clients=list(names), hours=list(begins), policy=report.policy)
    return {(client, hour): (Between(*times[:2]), Between(*times[2:])) for client, hour, *times in rows}
