"""Every mark of a group is one that the distribution of the tests finds."""

from pathlib import Path

import pytest

from tests.grouping import GroupScheduling
from tests.support.web import BASE_DIR


def marked_files() -> list[str]:
    files = sorted((BASE_DIR / "tests").rglob("test_*.py"))
    others = [file for file in files if file != Path(__file__)]
    return [str(file.relative_to(BASE_DIR)) for file in others if "xdist_group" in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", marked_files())
def test_the_tests_of_a_marked_file_stay_together(file: str) -> None:
    scheduling = GroupScheduling.__new__(GroupScheduling)
    scope = scheduling._split_scope(f"{file}::test_one[a::b]")
    assert scope == scheduling._split_scope(f"{file}::test_two")
    assert "::" not in scope


def test_the_tests_of_another_file_do_not() -> None:
    scheduling = GroupScheduling.__new__(GroupScheduling)
    file = str(Path(__file__).relative_to(BASE_DIR))
    assert scheduling._split_scope(f"{file}::test_one") == f"{file}::test_one"
