"""Hours, days and months of a time zone as instants, and which table a period is read from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from limits.models.reports import MONTH_CLOSES_AFTER
from limits.monitoring.rollups import ONE_HOUR
from limits.reports.subjects import By, Report

ONE_DAY = timedelta(days=1)
Span = tuple[datetime, datetime]


def starts(by: By, begin: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """Returns the beginnings, in UTC, of all hours, days or months of the time zone that have a part in the period; the
    first may be earlier than ``begin``."""
    return list(_STARTS[by](begin, end, zone))


def _hours(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    for number in range((end - begin) // ONE_HOUR):
        yield begin + number * ONE_HOUR


def _days(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    day = begin.astimezone(zone).date()
    while (moment := midnight(day, zone)) < end:
        yield moment
        day += ONE_DAY


def _months(begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    day = begin.astimezone(zone).date().replace(day=1)
    while (moment := midnight(day, zone)) < end:
        yield moment
        day = next_month(day)


_STARTS: dict[By, Callable[[datetime, datetime, ZoneInfo], Iterator[datetime]]] = {
    By.HOUR: _hours,
    By.DAY: _days,
    By.MONTH: _months,
}
_FORMATS = {By.DAY: "%Y-%m-%d", By.MONTH: "%Y-%m"}


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Returns the beginning of a day in UTC; where the clocks skip midnight, the moment at which they do."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def next_month(first: date) -> date:
    """Returns the first day of the month after this one."""
    return (first + 31 * ONE_DAY).replace(day=1)


def label(by: By, start: datetime, zone: ZoneInfo) -> str:
    """“2026-10-25T02:00:00+02:00”, “2026-10-25” or “2026-10”, in the time zone."""
    # Where the clocks skip midnight, the day begins at one.
    local = start.astimezone(zone)
    return local.strftime(_FORMATS[by]) if by in _FORMATS else local.isoformat()


def closes(months: Iterable[datetime], zone: ZoneInfo) -> list[datetime]:
    """Returns when each of these months closes; ``months``: their beginnings."""
    firsts = (start.astimezone(zone).date().replace(day=1) for start in months)
    return [midnight(next_month(first), zone) + MONTH_CLOSES_AFTER for first in firsts]


def has_whole_hours(zone: ZoneInfo, begin: datetime, end: datetime) -> bool:
    """Whether the time zone differs from UTC by whole hours during the whole period."""
    moments = (begin + number * ONE_DAY for number in range((end - begin) // ONE_DAY + 2))
    return all(_is_whole(moment.astimezone(zone).utcoffset()) for moment in moments)


def _is_whole(offset: timedelta | None) -> bool:
    return offset is not None and not offset % ONE_HOUR


@dataclass(frozen=True, slots=True)
class Spans:
    """What is read from which table: whole days (UTC) from days, other hours from hours, and from ``minutes`` until the
    end from minutes. The three contain each count once."""

    days: Sequence[Span]
    hours: Sequence[Span]
    minutes: datetime


def spans(
    report: Report, rolled_up_hours: datetime | None, rolled_up_days: datetime | None, changes: Iterable[datetime] = ()
) -> Spans:
    """Returns the largest parts that can be read at once. ``rolled_up_hours``, ``rolled_up_days``: until when minutes
    are rolled up into hours, and hours into days; ``changes``: moments that no day may contain."""
    minutes = max(report.begin, rolled_up_hours or report.begin)
    if report.time is By.HOUR or rolled_up_days is None:
        return Spans([], [(report.begin, report.end)], minutes)
    inner = starts(report.time, report.begin, report.end, report.zone) if report.time else []
    edges = sorted({report.begin, report.end, *(at for at in (*inner, *changes) if report.begin < at < report.end)})
    days: list[Span] = []
    hours: list[Span] = []
    for begin, end in pairwise(edges):
        first, last = _day_from(begin), _day_of(min(end, rolled_up_days))
        if first < last:
            _add(days, first, last)
            _add(hours, begin, first)
            _add(hours, last, end)
        else:
            _add(hours, begin, end)
    return Spans(days, hours, minutes)


def _day_of(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _day_from(moment: datetime) -> datetime:
    return _day_of(moment + ONE_DAY - timedelta(microseconds=1))


def _add(found: list[Span], begin: datetime, end: datetime) -> None:
    """Adds a span, as a part of the one before it if that ends where this one begins."""
    if found and found[-1][1] == begin:
        found[-1] = (found[-1][0], end)
    elif begin < end:
        found.append((begin, end))


def hours_kept_from(now: datetime, days: int) -> datetime:
    """Returns the day from which on hours are complete; ``days``: the setting ``KEEP_HOURS``."""
    return _day_from(now - days * ONE_DAY)
