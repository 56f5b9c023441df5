"""How long rows are kept. They go in small steps, so that nobody waits for a lock.

Minutes that are not in their hour yet stay, however old they are, and so do hours that are not in
their day.
"""

import time
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.utils import timezone

from limits.conf import setting
from limits.models import Alert, Message, Progress, Work
from limits.monitoring.sql import execute

ROWS_AT_A_TIME = 10_000

LEAST_DAYS_OF_MINUTES = 2
"""Alerts look back up to a day, and begin within an hour."""

_DELETE = """
    WITH gone AS (
        DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {column} < %s LIMIT %s)) RETURNING 1
    )
    SELECT count(*) FROM gone
"""

_MINUTES = ("limits_usage", "limits_policydenial", "limits_quotacrossing")
_HOURS = ("limits_usagehour", "limits_policydenialhour")
_DAYS = ("limits_usageday", "limits_policydenialday")


def remove_old(now: datetime | None = None, seconds: float = 60.0) -> int:
    """Removes rows that are past their time, for so many seconds at most. Returns how many."""
    end = time.monotonic() + seconds
    removed = 0
    for table, column, before in _due(now or timezone.now()):
        while time.monotonic() < end and (step := _remove(table, column, before)):
            removed += step
    return removed + _remove_told(now or timezone.now())


def _remove_told(now: datetime) -> int:
    """Messages that are done go with the hours, alerts that are over with the days."""
    done = Message.objects.filter(next_attempt_at=None, created_at__lt=now - _kept("KEEP_HOURS", LEAST_DAYS_OF_MINUTES))
    over = Alert.objects.filter(resolved_at__lt=now - _kept("KEEP_DAYS", 1))
    return sum(_remove_some(rows) for rows in (done, over))


def _remove_some(rows: QuerySet[Any]) -> int:
    """The next run takes the rest."""
    some = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_A_TIME])
    rows.filter(pk__in=some).delete()
    return len(some)


def _due(now: datetime) -> list[tuple[str, str, datetime]]:
    """(table, column, everything before goes)"""
    minutes = min(now - _kept("KEEP_MINUTES", LEAST_DAYS_OF_MINUTES), Progress.of(Work.HOURS) or now)
    hours = min(now - _kept("KEEP_HOURS", LEAST_DAYS_OF_MINUTES), Progress.of(Work.DAYS) or now)
    return [
        *((table, "minute", minutes) for table in _MINUTES),
        *((table, "hour", hours) for table in _HOURS),
        *((table, "day", now - _kept("KEEP_DAYS", 1)) for table in _DAYS),
    ]


def _kept(name: str, least: int) -> timedelta:
    days = setting(name)
    if not isinstance(days, int) or days < least:
        raise ImproperlyConfigured(f"{name}: {days!r} is not a whole number of days from {least}.")
    return timedelta(days=days)


def _remove(table: str, column: str, before: datetime) -> int:
    return int(execute(_DELETE.format(table=table, column=column), [before, ROWS_AT_A_TIME])[0][0])
