"""Completeness of docs/http-api.md."""

from pathlib import Path

from api.problems import PROBLEM_TYPES

PAGE_SIZE = Path(__file__).parents[2] / "docs" / "http-api.md"


def test_the_page_names_every_problem_with_its_status() -> None:
    text = PAGE_SIZE.read_text()
    assert [kind.uri for kind in PROBLEM_TYPES if f"| `{kind.uri}` | {kind.status} |" not in text] == []
