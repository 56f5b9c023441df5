"""Parsing of rates."""

import pytest

from ratelimit_enforcer.domain.rate import InvalidRate, Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("3/s", Rate(3, 1)),
        ("3/sec", Rate(3, 1)),
        ("3/second", Rate(3, 1)),
        ("50/m", Rate(50, 60)),
        ("50/min", Rate(50, 60)),
        ("50/minutes", Rate(50, 60)),
        ("100/h", Rate(100, 3_600)),
        ("100/hour", Rate(100, 3_600)),
        ("1000/d", Rate(1_000, 86_400)),
        ("1000/day", Rate(1_000, 86_400)),
        ("10/5m", Rate(10, 300)),
        ("10/15min", Rate(10, 900)),
        ("10/12 hours", Rate(10, 43_200)),
        (" 7 / day ", Rate(7, 86_400)),
        ("0/day", Rate(0, 86_400)),
        ("1/366d", Rate(1, 31_622_400)),
    ],
)
def test_valid_rates_are_parsed(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "5/month",
        "5/mo",
        "5/week",
        "5/year",
        "5/milliseconds",
        "5/daily",
        "5/x",
        "5/",
        "/m",
        "5",
        "",
        "many/day",
        "5/min/s",
    ],
)
def test_rates_that_the_framework_misreads_or_fails_on_are_rejected(text: str) -> None:
    with pytest.raises(InvalidRate, match=f"^“{text}”"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["-1/m", "1.5/m", "٣/m", "1e3/m", "5/0m", "5/367d", "5/-1m", "1000000001/m", "5/M"])
def test_numbers_out_of_bounds_are_rejected(text: str) -> None:
    with pytest.raises(InvalidRate):
        parse_rate(text)
