"""Rolling minutes up into hours, and hours into days: each row once, in small steps.

Two marks record the progress (``limits.models.Progress``). A step adds up the rows between its mark and a
later moment, and moves the mark, in one transaction. Counts that the drain adds for a time before a mark were
missed by the steps, so the drain adds them to hours and days itself. It reads the marks under a lock that a
step has to wait for, so that no count is added twice or lost.

A period is read from as few rows as possible: whole hours from the hours table, and the beginning and the end
from the minutes table.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Min
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from limits.models import (
    PolicyDenial,
    PolicyDenialHour,
    PolicyUsage,
    PolicyUsageHour,
    Progress,
    Settlement,
    SettlementHour,
    Usage,
    UsageHour,
    Work,
)
from limits.models.settlements import FIGURES
from limits.monitoring.statements import Statements, arrays

_SQL = Statements("rollups")

ONE_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From ``begin`` to ``end``, the end excluded. The hours from ``first_hour`` to ``last_hour`` include everything
    from ``first_hour`` to ``rolled_up_until``; the periods before and after are read from the minutes."""

    begin: datetime
    end: datetime
    first_hour: datetime
    last_hour: datetime
    rolled_up_until: datetime

    @classmethod
    def between(cls, begin: datetime, end: datetime) -> "TimeRange":
        """Both are whole minutes. The rows have to be read in the same transaction: until it ends, no rollup
        moves rows to their hour, which would then be counted twice or not at all."""
        first_hour = hour_of(begin + ONE_HOUR - timedelta(microseconds=1))
        mark = _lock_hours_mark() or begin
        # The hour that is being rolled up contains its minutes up to the mark.
        last_hour, rolled_up_until = (hour_of(mark) + ONE_HOUR, mark) if mark <= end else (hour_of(end), hour_of(end))
        if rolled_up_until <= first_hour:
            return cls(begin, end, begin, begin, begin)
        return cls(begin, end, first_hour, last_hour, rolled_up_until)

    @classmethod
    def hours(cls, now: datetime, count: int) -> "TimeRange":
        """Returns the last ``count`` clock hours, including the present hour so far, and slightly more: the
        store's clock may be ahead."""
        end = hour_of(now) + ONE_HOUR
        return cls.between(end - count * ONE_HOUR, end)

    def parameters(self) -> dict[str, datetime]:
        """Returns the five fields as parameters of a statement."""
        return asdict(self)


def _lock_hours_mark() -> datetime | None:
    """Returns the time up to which minutes are rolled up into hours, and locks it: a rollup waits for this
    lock."""
    if not connection.in_atomic_block:
        raise TransactionManagementError("The mark and the rows are read in one transaction.")
    return lock_progress(Work.HOURS).get(Work.HOURS)


def hour_of(moment: datetime) -> datetime:
    """Returns the beginning of the hour of ``moment``."""
    return moment.replace(minute=0, second=0, microsecond=0)


ONE_MINUTE = timedelta(minutes=1)

SETTLE_DELAY = 2 * ONE_MINUTE
"""A minute is rolled up this long after it began: by then its counts have usually arrived."""


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of one kind in three resolutions; ``columns`` names those of a minute as parameters of statements."""

    columns: tuple[str, ...]


USAGE = Series(("minutes", "clients", "endpoints", "outcomes", "requests", "costs"))
DENIALS = Series(("minutes", "clients", "endpoints", "policies", "modes", "requests"))
POLICY_USAGE = Series(("minutes", "clients", "endpoints", "policies", "granted", "over_quota"))
SETTLEMENTS = Series(("minutes", "clients", "endpoints", *FIGURES))


@dataclass(frozen=True, slots=True)
class Rollup:
    """The rollup of a series into one resolution: the model of the source, and the names of two statements, for
    the rows of a period of the source and for late rows."""

    series: Series
    source: type[models.Model]
    roll_up: str
    add_late: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """The target of rollups. ``column`` is the time column of the source; a step adds up the rows within one
    ``step`` of it."""

    work: Work
    column: str
    step: timedelta
    rollups: tuple[Rollup, ...]


HOURS = Resolution(
    Work.HOURS,
    "minute",
    ONE_MINUTE,
    (
        Rollup(USAGE, Usage, "roll_up_usage_into_hours", "add_late_usage_to_hours"),
        Rollup(DENIALS, PolicyDenial, "roll_up_denials_into_hours", "add_late_denials_to_hours"),
        Rollup(POLICY_USAGE, PolicyUsage, "roll_up_policy_usage_into_hours", "add_late_policy_usage_to_hours"),
        Rollup(SETTLEMENTS, Settlement, "roll_up_settlements_into_hours", "add_late_settlements_to_hours"),
    ),
)
DAYS = Resolution(
    Work.DAYS,
    "hour",
    ONE_HOUR,
    (
        Rollup(USAGE, UsageHour, "roll_up_usage_into_days", "add_late_usage_to_days"),
        Rollup(DENIALS, PolicyDenialHour, "roll_up_denials_into_days", "add_late_denials_to_days"),
        Rollup(POLICY_USAGE, PolicyUsageHour, "roll_up_policy_usage_into_days", "add_late_policy_usage_to_days"),
        Rollup(SETTLEMENTS, SettlementHour, "roll_up_settlements_into_days", "add_late_settlements_to_days"),
    ),
)
RESOLUTIONS = (HOURS, DAYS)


def roll_up(now: datetime | None = None, seconds: float = 20.0) -> int:
    """Rolls up settled rows for at most ``seconds`` seconds. Returns the number of steps."""
    end = time.monotonic() + seconds
    steps = 0
    while time.monotonic() < end and _step(now or timezone.now()):
        steps += 1
    return steps


def _step(now: datetime) -> bool:
    """Runs one step of the first resolution that needs one. Returns whether there was one."""
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
    for rollup in resolution.rollups:
        _SQL.rows(rollup.roll_up, begin=begin, end=end)
    Progress.note(resolution.work, end)
    return True


def _locked_mark(work: Work) -> datetime | None:
    return Progress.objects.select_for_update().filter(work=work.value).values_list("at", flat=True).first()


def _settled(resolution: Resolution, now: datetime) -> datetime:
    """Returns the time up to which the source can be rolled up now."""
    if resolution is HOURS:
        return (now - SETTLE_DELAY).replace(second=0, microsecond=0) + ONE_MINUTE
    return (Progress.of(Work.HOURS) or now).replace(minute=0, second=0, microsecond=0)


def _first_row(resolution: Resolution, mark: datetime, settled: datetime) -> datetime | None:
    """Returns the time of the first row from the mark on: periods without rows need no steps."""
    period = {f"{resolution.column}__gte": mark, f"{resolution.column}__lt": settled}
    found = [
        rollup.source._default_manager.filter(**period).aggregate(first=Min(resolution.column))["first"]
        for rollup in resolution.rollups
    ]
    return min((moment for moment in found if moment is not None), default=None)


def add_late(series: Series, rows: Sequence[tuple[Any, ...]], marks: Mapping[str, datetime]) -> None:
    """Adds rows of minutes (time, client, keys, sums) to the hours and days that were rolled up already. Call
    it in the transaction in which ``marks`` were read by :func:`lock_progress`."""
    for resolution in RESOLUTIONS:
        mark = marks.get(resolution.work)
        late = [row for row in rows if mark is not None and row[0] < mark]
        for rollup in resolution.rollups:
            if late and rollup.series is series:
                _SQL.rows(rollup.add_late, **arrays(series.columns, late))


def lock_progress(*works: Work) -> dict[str, datetime]:
    """Returns work → mark, and locks the marks until the transaction ends."""
    return dict(_SQL.rows("lock_progress", works=[work.value for work in works]))
