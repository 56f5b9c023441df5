"""Every mark of a group is recognized when the tests are distributed."""

from pathlib import Path

import pytest

from tests.grouping import GroupScheduling
from tests.support.web import BASE_DIR


def marked_files() -> list[str]:
    files = sorted((BASE_DIR / "tests").rglob("test_*.py"))
    others = [file for file in files if file != Path(__file__)]
    return [str(file.relative_to(BASE_DIR)) for file in others if "xdist_group" in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", marked_files())
def test_tests_in_a_marked_file_stay_together(file: str) -> None:
    scheduling = GroupScheduling.__new__(GroupScheduling)
    scope = scheduling._split_scope(f"{file}::test_one[a::b]")
    assert scope == scheduling._split_scope(f"{file}::test_two")
    assert "::" not in scope


def test_tests_in_other_files_are_distributed_separately() -> None:
    scheduling = GroupScheduling.__new__(GroupScheduling)
    file = str(Path(__file__).relative_to(BASE_DIR))
    assert scheduling._split_scope(f"{file}::test_one") == f"{file}::test_one"
