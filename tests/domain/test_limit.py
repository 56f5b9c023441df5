"""Limits by themselves: names and the bounds of their fields."""

from dataclasses import replace
from typing import Any

import pytest

from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import MAX_CONCURRENCY, SECOND_US, Limit, limit_problems

FIVE = Limit(5, 60, Algorithm.CONCURRENCY)


@pytest.mark.parametrize(
    ("limit", "label"),
    [
        (Limit(1, 60), "60s"),
        (Limit(1, 60, Algorithm.TOKEN_BUCKET), "60s-bucket"),
        (Limit(1, 60, Algorithm.FIXED_WINDOW), "60s-fixed"),
        (Limit(1, None, Algorithm.CALENDAR, period=Period.DAY), "day"),
        (FIVE, "concurrent"),
    ],
)
def test_a_limit_is_named_by_algorithm_and_window(limit: Limit, label: str) -> None:
    assert limit.label == label


def test_figures_of_a_concurrency_limit() -> None:
    assert (FIVE.capacity, FIVE.window_code, FIVE.window_us, FIVE.skew) == (5, 60, 60 * SECOND_US, 60 * SECOND_US // 64)


@pytest.mark.parametrize("limit", [replace(FIVE, quota=0), replace(FIVE, quota=10_000), replace(FIVE, window=1)])
def test_concurrency_limits_within_the_bounds(limit: Limit) -> None:
    assert list(limit_problems(limit)) == []


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"quota": -1}, [("quota", "must be between 0 and 10,000 concurrent requests.")]),
        ({"quota": MAX_CONCURRENCY + 1}, [("quota", "must be between 0 and 10,000 concurrent requests.")]),
        ({"window": None}, [("window", "is required: the longest duration of a request in seconds.")]),
        ({"window": 0}, [("window", "must be between 1 and 31,622,400 seconds (366 days).")]),
        ({"window": 31_622_401}, [("window", "must be between 1 and 31,622,400 seconds (366 days).")]),
        ({"burst": 5}, [("burst", "is allowed for token buckets only.")]),
        ({"period": Period.DAY}, [("period", "is allowed for calendar limits only.")]),
        ({"timezone": "UTC"}, [("timezone", "is allowed for calendar limits only.")]),
    ],
)
def test_problems_of_concurrency_limits(fields: dict[str, Any], problems: list[tuple[str, str]]) -> None:
    assert list(limit_problems(replace(FIVE, **fields))) == problems
