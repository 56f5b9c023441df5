"""Minutes added up to hours, and hours to days: each row once, in small steps.

Two marks say how far this has come (``limits.models.Progress``). A step adds up what lies between
its mark and a moment after it, and moves the mark, in one transaction. What the drain brings for a
time before a mark was missed by its steps, so the drain adds that itself. It reads the marks under
a lock that a step has to wait for, and so none is added twice or never.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from limits.models import Progress, Work
from limits.monitoring.sql import columns, execute

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

SETTLED = 2 * MINUTE
"""A minute is added up this long after it began: by then its counts are there, as a rule."""

_REGISTERED = "CASE WHEN EXISTS (SELECT FROM limits_client WHERE key = client_key) THEN client_key ELSE '' END"
"""Days hold no names but those of registered clients."""


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of one kind in three resolutions: their table, what tells one from another, what is added."""

    table: str
    keys: tuple[tuple[str, str], ...]
    sums: tuple[str, ...]


USAGE = Series("limits_usage", (("endpoint", "text"), ("outcome", "text")), ("requests", "cost"))
DENIALS = Series("limits_policydenial", (("endpoint", "text"), ("policy", "text"), ("mode", "text")), ("requests",))
SERIES = (USAGE, DENIALS)


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where rows come from and where they are added: (suffix of the table, column of its time). A step
    takes what lies in one ``step`` of the source; ``client`` is what the target calls the client."""

    work: Work
    source: tuple[str, str]
    target: tuple[str, str]
    client: str
    unit: str
    step: timedelta

    def add_up(self, series: Series) -> str:
        """Takes the beginning and the end of a stretch of the source."""
        suffix, column = self.source
        return self._insert(
            series,
            f"SELECT date_trunc('{self.unit}', {column}, 'UTC'), {self.client}, {_names(series)}, {_added(series)} "
            f"FROM {series.table}{suffix} WHERE {column} >= %s AND {column} < %s",
        )

    def add_late(self, series: Series) -> str:
        """Takes an array for the times in minutes, the clients, each further key and each sum."""
        types = ("timestamptz", "text", *(kind for _, kind in series.keys), *("bigint" for _ in series.sums))
        arrays = ", ".join(f"%s::{kind}[]" for kind in types)
        names = ", ".join(("minute", "client_key", _names(series), *series.sums))
        return self._insert(
            series,
            f"SELECT date_trunc('{self.unit}', minute, 'UTC'), {self.client}, {_names(series)}, {_added(series)} "
            f"FROM unnest({arrays}) AS late({names})",
        )

    def _insert(self, series: Series, selection: str) -> str:
        suffix, column = self.target
        keys = f"{column}, client_key, {_names(series)}"
        places = ", ".join(str(place + 1) for place in range(2 + len(series.keys)))
        added = ", ".join(f"{name} = kept.{name} + EXCLUDED.{name}" for name in series.sums)
        return (
            f"INSERT INTO {series.table}{suffix} AS kept ({keys}, {', '.join(series.sums)}) {selection} "
            # In order, so that two at once wait for each other and never in a circle.
            f"GROUP BY {places} ORDER BY {places} ON CONFLICT ({keys}) DO UPDATE SET {added}"
        )


def _names(series: Series) -> str:
    return ", ".join(name for name, _ in series.keys)


def _added(series: Series) -> str:
    return ", ".join(f"sum({name})" for name in series.sums)


HOURS = Resolution(Work.HOURS, ("", "minute"), ("hour", "hour"), "client_key", "hour", MINUTE)
DAYS = Resolution(Work.DAYS, ("hour", "hour"), ("day", "day"), _REGISTERED, "day", HOUR)
RESOLUTIONS = (HOURS, DAYS)


def roll_up(now: datetime | None = None, seconds: float = 20.0) -> int:
    """Adds up what is settled, for so many seconds at most. Returns how many steps that took."""
    end = time.monotonic() + seconds
    steps = 0
    while time.monotonic() < end and _step(now or timezone.now()):
        steps += 1
    return steps


def _step(now: datetime) -> bool:
    """One step of the first resolution that has one. Returns whether there was one."""
    return any(_add_up(resolution, now) for resolution in RESOLUTIONS)


@transaction.atomic
def _add_up(resolution: Resolution, now: datetime) -> bool:
    mark = _locked_mark(resolution.work)
    settled = _settled(resolution, now)
    if mark is None or mark >= settled:
        return False
    begin = _first_row(resolution, mark, settled)
    if begin is None:
        Progress.note(resolution.work, settled)
        return False
    end = begin + resolution.step
    for series in SERIES:
        execute(resolution.add_up(series), [begin, end])
    Progress.note(resolution.work, end)
    return True


def _locked_mark(work: Work) -> datetime | None:
    return Progress.objects.select_for_update().filter(work=work.value).values_list("at", flat=True).first()


def _settled(resolution: Resolution, now: datetime) -> datetime:
    """Up to where the source can be added up by now."""
    if resolution is HOURS:
        return (now - SETTLED).replace(second=0, microsecond=0) + MINUTE
    return (Progress.of(Work.HOURS) or now).replace(minute=0, second=0, microsecond=0)


def _first_row(resolution: Resolution, mark: datetime, settled: datetime) -> datetime | None:
    """The time of the first row from the mark on: nothing has to be done for times without any."""
    suffix, column = resolution.source
    statement = f"SELECT min({column}) FROM {{}}{suffix} WHERE {column} >= %s AND {column} < %s"
    found = [execute(statement.format(series.table), [mark, settled])[0][0] for series in SERIES]
    return min((moment for moment in found if moment is not None), default=None)


def add_late(series: Series, rows: Sequence[tuple[Any, ...]], marks: Mapping[str, datetime]) -> None:
    """Adds rows of minutes (time, client, keys, sums) to the hours and days that have been made
    already. Call it in the transaction in which ``marks`` were read by :func:`marks_held`."""
    for resolution in RESOLUTIONS:
        mark = marks.get(resolution.work)
        late = [row for row in rows if mark is not None and row[0] < mark]
        if late:
            execute(resolution.add_late(series), columns(late))


def marks_held() -> dict[str, datetime]:
    """Work → its mark, which stays where it is until the transaction ends."""
    found = execute("SELECT work, at FROM limits_progress WHERE work = ANY(%s) FOR SHARE", [[Work.HOURS, Work.DAYS]])
    return dict(found)
