"""Hours, days, weeks and months of a time zone, daylight saving included.

A period is a stretch of time ``[start, end)`` in microseconds since 1970. The periods of a zone
follow each other without gap or overlap: a day has 23 or 25 hours where the clocks change, and
where a local midnight does not exist, the day begins with the first moment that does.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from limits.domain.words import Period

DEFAULT_TIMEZONE = "UTC"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = 3_600_000_000


NO_PLACE = frozenset({"Factory", "localtime", "posixrules"})
"""Names that a machine may know, and that mean something else on each or nothing at all."""


@lru_cache(maxsize=1)
def timezones() -> frozenset[str]:
    """The names of the IANA time zone database, as the package ``tzdata`` has them, so that they are
    the same on every machine."""
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(names) - NO_PLACE


@lru_cache(maxsize=2_048)
def is_known_here(timezone: str) -> bool:
    """Whether this machine can tell the time of a zone. An older database knows fewer of them."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return False
    return True


def period_around(period: Period, timezone: str | None, now: int) -> tuple[int, int]:
    """The period of this zone (None: UTC) that holds ``now``: its start and its end.

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


_DATES = {Period.DAY: _day, Period.WEEK: _week, Period.MONTH: _month}


def _local(zone: ZoneInfo, moment: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=moment)).astimezone(zone)


def _offset(zone: ZoneInfo, moment: int) -> int:
    offset = _local(zone, moment).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)


def _midnight(zone: ZoneInfo, day: date) -> int:
    """The first moment of a local date. Where midnight is skipped, the offset before the gap
    leads to the end of the gap (PEP 495)."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return (midnight - _EPOCH) // timedelta(microseconds=1)


def _hour(zone: ZoneInfo, now: int) -> tuple[int, int]:
    """The hour on the local clock. Where the clocks change inside it, it is two."""
    offset = _offset(zone, now)
    start = now - (now + offset) % _HOUR
    end = start + _HOUR
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
