"""The report of the benchmarks in Markdown."""

import pytest

from benchmarks.measuring import Spread
from benchmarks.report import Cell, Headline, Part, Table, Target, headlines, markdown, written


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("exact", "exact"),
        (50, "50"),
        (1_000_000, "1,000,000"),
        (0.254, "0.25"),
        (12.34, "12.3"),
        (12_345.6, "12,346"),
        (Spread(1.25, 1.0, 12.5), "1.25 (1.00 to 12.5)"),
    ],
)
def test_numbers_are_rounded_to_significant_digits(cell: Cell, text: str) -> None:
    assert written(cell) == text


@pytest.mark.parametrize(
    ("median", "at_most", "reached"), [(1.5, True, True), (1.6, True, False), (1.5, False, True), (1.4, False, False)]
)
def test_a_target_is_compared_with_the_median(median: float, at_most: bool, reached: bool) -> None:
    assert Target("time", Spread(median, 0.1, 9.0), 1.5, at_most).reached is reached


def test_targets_come_first_then_each_part() -> None:
    table = Table("Checks", ("what", "µs"), [("ours", 12.0)], "A note.")
    text = markdown([Part("In process", [table], [Target("time", Spread(2.0, 1.0, 3.0), 1.5)])])
    assert text == (
        "## Targets\n\n| what | found | target |  |\n| --- | --- | --- | --- |\n"
        "| time | 2.00 (1.00 to 3.00) | ≤ 1.5 | **not reached** |\n\n"
        "## In process\n\n### Checks\n\nA note.\n\n| what | µs |\n| --- | --- |\n| ours | 12.0 |\n"
    )


def test_parts_without_targets_have_no_table_of_targets() -> None:
    assert markdown([Part("Size", [])]) == "## Size\n"


def test_a_headline_has_both_figures_and_their_ratio() -> None:
    line = Headline("a check", Spread(60.0, 50.0, 90.0), "the floor", Spread(50.0, 40.0, 60.0), "µs", Spread(1.2, 1, 2))
    assert headlines([Part("In process", [], headlines=[line])]).splitlines()[2:] == [
        "| a check | 60.0 µs | the floor | 50.0 µs | × 1.20 |"
    ]
