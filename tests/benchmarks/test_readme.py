"""Updating the table in the README."""

import pytest

from benchmarks.readme import BEGIN, END, README, replaced


def test_only_the_text_between_the_marks_is_replaced() -> None:
    assert replaced(f"# A\n{BEGIN}\nold\n{END}\nB\n", "new") == f"# A\n{BEGIN}\nnew\n{END}\nB\n"


def test_a_readme_without_the_marks_is_not_changed() -> None:
    with pytest.raises(ValueError, match="The README has no"):
        replaced("# A\n", "new")


def test_the_readme_has_a_place_for_the_table() -> None:
    assert "new" in replaced(README.read_text(encoding="utf-8"), "new")
