"""Removing old rows, in small steps, so that other transactions do not wait for locks.

Minutes that are not rolled up into hours yet stay, however old they are, and so do hours that are not rolled
up into days.
"""

import time
from datetime import datetime, timedelta
from typing import Any

from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.utils import timezone

from limits.models import Alert, CreatingRequest, Message, Progress, Work
from limits.models.requests import KEPT
from limits.monitoring.statements import Statements
from ratelimit_enforcer.conf import setting

ROWS_PER_STATEMENT = 10_000

MIN_RETENTION_DAYS = 2
"""Alerts look back up to a day, and begin within an hour."""

MESSAGES_KEPT = timedelta(days=60)
"""Finished messages are removed this long after they were written."""

_SQL = Statements("retention")
_MINUTES = ("remove_usage", "remove_denials", "remove_settlements", "remove_thresholds", "remove_policy_usage")
_HOURS = ("remove_usage_hours", "remove_denial_hours", "remove_settlement_hours", "remove_policy_usage_hours")
_DAYS = (
    "remove_usage_days",
    "remove_denial_days",
    "remove_settlement_days",
    "remove_policy_usage_days",
    "remove_quota_peaks",
    "remove_late_counts",
    "remove_recorded_clients",
    "remove_recorded_default_plans",
)


def remove_expired(now: datetime | None = None, seconds: float = 60.0) -> int:
    """Removes expired rows for at most ``seconds`` seconds. Returns the number of rows."""
    end = time.monotonic() + seconds
    removed = 0
    for statement, before in _expired(now or timezone.now()):
        while time.monotonic() < end and (removed_now := _remove(statement, before)):
            removed += removed_now
    return removed + _remove_rows(now or timezone.now())


def _remove_rows(now: datetime) -> int:
    """Removes finished messages after some weeks, resolved alerts with the days, keys of requests after a day, and
    sessions of the admin once they have expired."""
    finished_messages = Message.objects.filter(next_attempt_at=None, created_at__lt=now - MESSAGES_KEPT)
    resolved_alerts = Alert.objects.filter(resolved_at__lt=now - _retention("KEEP_DAYS", 1))
    requests = CreatingRequest.objects.filter(created_at__lt=now - KEPT)
    sessions = Session.objects.filter(expire_date__lt=now)
    return sum(_remove_with_relations(rows) for rows in (finished_messages, resolved_alerts, requests, sessions))


def _remove_with_relations(rows: QuerySet[Any]) -> int:
    """Removes a limited number of rows; the next run removes the rest."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_PER_STATEMENT])
    rows.filter(pk__in=keys).delete()
    return len(keys)


def _expired(now: datetime) -> list[tuple[str, datetime]]:
    """Returns for each table the statement that removes rows, and the time before which they are expired."""
    minutes = min(now - _retention("KEEP_MINUTES", MIN_RETENTION_DAYS), Progress.of(Work.HOURS) or now)
    hours = min(now - _retention("KEEP_HOURS", MIN_RETENTION_DAYS), Progress.of(Work.DAYS) or now)
    return [
        *((statement, minutes) for statement in _MINUTES),
        *((statement, hours) for statement in _HOURS),
        *((statement, now - _retention("KEEP_DAYS", 1)) for statement in _DAYS),
    ]


def _retention(name: str, least: int) -> timedelta:
    days = setting(name)
    if not isinstance(days, int) or days < least:
        raise ImproperlyConfigured(f"{name}: {days!r} is not a whole number of days from {least}.")
    return timedelta(days=days)


def _remove(statement: str, before: datetime) -> int:
    """Removes a limited number of rows. Returns their number."""
    return _SQL.number(statement, before=before, count=ROWS_PER_STATEMENT)
