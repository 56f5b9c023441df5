"""Reading the rows of a report: exact, in one snapshot of the database, and streamed."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, cast

from django.db import connection, transaction
from django.utils import timezone

from limits.models import Progress, RecordedDefaultPlan, Work
from limits.monitoring.rollups import lock_progress
from limits.monitoring.statements import STREAMED_ROWS
from limits.reports.calendar import hours_kept_from, label, spans, starts
from limits.reports.statement import parameters, statement
from limits.reports.subjects import By, Report, Row
from ratelimit_enforcer.conf import setting

_SETTINGS = (
    "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; "
    "SET LOCAL statement_timeout = '10min'; SET LOCAL cursor_tuple_fraction = 1"
)
_numbers = count()


def rows(report: Report, now: datetime | None = None) -> Generator[Row]:
    """Reads a report, and returns its rows, adjustments last, with few of them in memory: PostgreSQL keeps the result,
    and nothing waits while it is passed on. The iterator is to be closed, or read to the end."""
    found = _begun(report, now or timezone.now())
    next(found)
    return cast(Generator[Row], found)


def _begun(report: Report, now: datetime) -> Generator[Row | None]:
    """Yields None when all has been read, and then the rows."""
    with snapshot() as marks:
        query, values = _query(report, marks, now)
        cursor = connection.connection.cursor(name=f"usage_report_{next(_numbers)}", withhold=True)
        cursor.execute(query, values)
    try:
        yield None
        yield from _rows(report, cursor)
    finally:
        cursor.close()


def _rows(report: Report, cursor: Any) -> Iterator[Row]:
    about = len(report.by)
    time = report.by.index(report.time) if report.time else None
    labels = _labels(report)
    for found in iter(partial(cursor.fetchmany, STREAMED_ROWS), []):
        for row in found:
            values = list(row[:about])
            if time is not None:
                values[time] = labels[values[time] - 1]
            yield Row(tuple(values), row[about + 1 :], row[about])


def _labels(report: Report) -> list[str]:
    if report.time is None:
        return []
    found = starts(report.time, report.begin, report.end, report.zone)
    return [label(report.time, start, report.zone) for start in found]


@contextmanager
def snapshot() -> Iterator[dict[Work, datetime]]:
    """A transaction in which all statements see the same counts. Yields until when rows are rolled up. Within another
    transaction only the first statement does: the rollups wait until that transaction ends."""
    if connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute(_SETTINGS)
        yield {Work(work): at for work, at in lock_progress(Work.HOURS, Work.DAYS).items()}
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; {_SETTINGS}")
        yield {Work(work): at for work, at in Progress.objects.values_list("work", "at")}


def _query(report: Report, marks: dict[Work, datetime], now: datetime) -> tuple[str, dict[str, Any]]:
    plans = _default_plans() if By.PLAN in report.subjects else []
    kept_from = hours_kept_from(now, setting("KEEP_HOURS"))
    changes = (begin for begin, _ in plans if begin >= kept_from)
    read = spans(report, marks.get(Work.HOURS), marks.get(Work.DAYS), changes)
    return statement(report, read), parameters(report, read, kept_from, plans)


def _default_plans() -> list[tuple[datetime, str]]:
    """Returns from when on which plan was the default, oldest first; empty: none."""
    found: list[tuple[datetime, str]] = []
    for plan, begin, end in RecordedDefaultPlan.objects.values_list("plan", "from_hour", "until_hour"):
        if found and found[-1][0] == begin:
            found.pop()
        found.append((begin, plan))
        if end is not None:
            found.append((end, ""))
    return found
