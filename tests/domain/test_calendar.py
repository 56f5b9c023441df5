"""Calendar periods in every time zone: no gaps, no overlaps, and known examples."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_enforcer.domain.calendar import period_around, timezones
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import Limit

HOUR = 3_600_000_000
YEARS = st.integers(1_000_000_000_000_000, 2_200_000_000_000_000)


def moment(text: str, zone: str = "UTC") -> int:
    at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(at.astimezone(UTC).timestamp()) * 1_000_000


@settings(max_examples=1_500, derandomize=True, deadline=None)
@given(zone=st.sampled_from(sorted(timezones())), period=st.sampled_from(Period), now=YEARS)
def test_periods_follow_each_other_without_gap_or_overlap(zone: str, period: Period, now: int) -> None:
    start, end = period_around(period, zone, now)
    assert start <= now < end
    assert period_around(period, zone, start) == period_around(period, zone, end - 1) == (start, end)
    assert period_around(period, zone, end)[0] == end
    assert period_around(period, zone, start - 1)[1] == start


@pytest.mark.parametrize(
    ("zone", "now", "period", "begins", "hours"),
    [
        (None, "2026-11-24T10:00", Period.DAY, "2026-11-24T00:00", 24),
        ("Europe/Berlin", "2026-03-29T12:00", Period.DAY, "2026-03-29T00:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00", Period.DAY, "2026-10-25T00:00", 25),
        ("Europe/Berlin", "2026-10-25T12:00", Period.MONTH, "2026-10-01T00:00", 31 * 24 + 1),
        ("America/New_York", "2026-11-01T12:00", Period.DAY, "2026-11-01T00:00", 25),
        ("Europe/Berlin", "2026-11-24T12:00", Period.WEEK, "2026-11-23T00:00", 7 * 24),
        ("UTC", "2028-02-29T12:00", Period.MONTH, "2028-02-01T00:00", 29 * 24),
        ("Asia/Kathmandu", "2026-11-24T10:50", Period.HOUR, "2026-11-24T10:00", 1),
        ("Africa/Cairo", "2026-04-24T12:00", Period.DAY, "2026-04-24T01:00", 23),
    ],
)
def test_known_periods(zone: str | None, now: str, period: Period, begins: str, hours: int) -> None:
    start, end = period_around(period, zone, moment(now, zone or "UTC"))
    assert (start, (end - start) / HOUR) == (moment(begins, zone or "UTC"), hours)


def test_an_hour_in_which_the_clocks_change_is_two_periods() -> None:
    """Lord Howe Island sets its clocks back by half an hour at 2:00, so 1:30 to 2:00 occurs twice."""
    first = period_around(Period.HOUR, "Australia/Lord_Howe", moment("2026-04-04T14:45"))
    again = period_around(Period.HOUR, "Australia/Lord_Howe", moment("2026-04-04T15:15"))
    assert (first[1], first[1] - first[0], again[1] - again[0]) == (again[0], HOUR, HOUR // 2)


def test_no_two_zones_share_a_counter() -> None:
    codes = {
        Limit(1, None, Algorithm.CALENDAR, period=period, timezone=zone).window_code
        for zone in timezones()
        for period in Period
    }
    assert len(codes) == len(timezones()) * len(Period)
    assert max(codes) < 2**31
