"""Reading the rows of a report: exact, in one snapshot of the database, and streamed."""

from collections.abc import Generator, Iterator
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, cast

from django.db import connection
from django.utils import timezone

from limits.models import Work
from limits.monitoring.own_connection import own_connection
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


def rows(report: Report, now: datetime | None = None, *, largest: int | None = None) -> Generator[Row]:
    """Reads a report, and returns its rows, adjustments last, with few of them in memory: PostgreSQL keeps the result,
    and nothing waits while it is passed on. The iterator is to be closed, or read to the end. ``largest``: only this
    many rows, those with the largest first figure; by period, the first ones."""
    found = _begun(report, now or timezone.now(), largest)
    next(found)
    return cast(Generator[Row], found)


def _begun(report: Report, now: datetime, largest: int | None) -> Generator[Row | None]:
    """Yields None when all has been read, and then the rows."""
    with own_connection() as database:
        with database.wrap_database_errors, database.connection.transaction():
            query, values = _query(report, _marks(database), _default_plans(report, database), now, largest)
            cursor = database.connection.cursor(name=f"usage_report_{next(_numbers)}", withhold=True)
            cursor.execute(query, values)
        try:
            yield None
            yield from _rows(report, cursor)
        finally:
            cursor.close()


def _marks(database: Any) -> dict[str, datetime]:
    """Returns until when rows are rolled up, and makes all following statements see the same counts. Within another
    transaction, rollups wait until that one ends."""
    execute = database.connection.execute
    nested = connection.in_atomic_block
    execute(_SETTINGS if nested else f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; {_SETTINGS}")
    marks = "SELECT work, at FROM limits_progress WHERE work IN ('hours', 'days')"
    return dict(execute(f"{marks} FOR SHARE" if nested else marks).fetchall())


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


def _query(
    report: Report,
    marks: dict[str, datetime],
    default_plans: list[tuple[datetime, str]],
    now: datetime,
    largest: int | None,
) -> tuple[str, dict[str, Any]]:
    kept_from = hours_kept_from(now, setting("KEEP_HOURS"))
    changes = (begin for begin, _ in default_plans if begin >= kept_from)
    read = spans(report, marks.get(Work.HOURS), marks.get(Work.DAYS), changes)
    return statement(report, read, largest), parameters(report, read, kept_from, default_plans)


def _default_plans(report: Report, database: Any) -> list[tuple[datetime, str]]:
    """Returns from when on which plan was the default, oldest first (empty: none), if the report needs it."""
    found: list[tuple[datetime, str]] = []
    if By.PLAN not in report.subjects:
        return found
    rows = "SELECT plan, from_hour, until_hour FROM limits_recordeddefaultplan ORDER BY from_hour"
    for plan, begin, end in database.connection.execute(rows).fetchall():
        if found and found[-1][0] == begin:
            found.pop()
        found.append((begin, plan))
        if end is not None:
            found.append((end, ""))
    return found
