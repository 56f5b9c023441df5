"""Hours, days, weeks, months and years of a time zone, daylight saving included.

A period is an interval ``[start, end)`` in microseconds since 1970. The periods of a zone follow each
other without gap or overlap. A day has 23 or 25 hours where the clocks change; where local midnight
does not exist, the day begins with the first moment that does.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from ratelimit_enforcer.domain.enums import Period

DEFAULT_TIMEZONE = "UTC"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = 3_600_000_000


AMBIGUOUS_ZONES = frozenset({"Factory", "localtime", "posixrules"})
"""Names that a machine may know, but that mean a different time on each machine, or none."""


@lru_cache(maxsize=1)
def timezones() -> frozenset[str]:
    """The names in the IANA time zone database, from the package ``tzdata``, so that the list is the
    same on every machine."""
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(names) - AMBIGUOUS_ZONES


@lru_cache(maxsize=2_048)
def is_known_here(timezone: str) -> bool:
    """Whether this machine can compute local times of the zone. Older databases have fewer zones."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return False
    return True


def period_around(period: Period, timezone: str | None, now: int) -> tuple[int, int]:
    """The start and end of the zone's period that contains ``now`` (microseconds since 1970; zone None: UTC).

    Raises ``zoneinfo.ZoneInfoNotFoundError`` for a zone that this machine does not know.
    """
    zone = ZoneInfo(timezone or DEFAULT_TIMEZONE)
    if period is Period.HOUR:
        return _hour(zone, now)
    first, following = _DATES[period](_local(zone, now).date())
    return _midnight(zone, first), _midnight(zone, following)


def _day(today: date) -> tuple[date, date]:
    return today, today + timedelta(days=1)


def _week(today: date) -> tuple[date, date]:
    monday = today - timedelta(days=today.weekday())
    return monday, monday + timedelta(days=7)


def _month(today: date) -> tuple[date, date]:
    first = today.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _year(today: date) -> tuple[date, date]:
    return date(today.year, 1, 1), date(today.year + 1, 1, 1)


_DATES = {Period.DAY: _day, Period.WEEK: _week, Period.MONTH: _month, Period.YEAR: _year}


def _local(zone: ZoneInfo, moment: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=moment)).astimezone(zone)


def _offset(zone: ZoneInfo, moment: int) -> int:
    offset = _local(zone, moment).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)


def _midnight(zone: ZoneInfo, day: date) -> int:
    """The first moment of a local date. Where midnight is skipped, the offset before the gap leads to
    the end of the gap (PEP 495)."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (midnight - _EPOCH) // timedelta(microseconds=1)


def _hour(zone: ZoneInfo, now: int) -> tuple[int, int]:
    """The hour on the local clock. If the clocks change within it, each part is a separate period."""
    offset = _offset(zone, now)
    start = now - (now + offset) % _HOUR_US
    end = start + _HOUR_US
    if _offset(zone, start) != offset:
        start = _change_of_offset(zone, start, now)
    if _offset(zone, end - 1) != offset:
        end = _change_of_offset(zone, now, end - 1)
    return start, end


def _change_of_offset(zone: ZoneInfo, before: int, after: int) -> int:
    """The first moment after ``before`` with the offset of ``after``."""
    new = _offset(zone, after)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if _offset(zone, middle) == new else (middle, after)
    return after
