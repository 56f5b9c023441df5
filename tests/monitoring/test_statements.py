"""The files of SQL statements: each statement has a name and a comment, and the code uses each of them."""

import re
from pathlib import Path

import pytest

from limits.monitoring.statements import FOLDER, Statements

FILES = sorted(FOLDER.glob("*.sql"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_statement_has_a_name_and_a_comment(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    found = re.findall(r"^-- name: (\w+)\n-- \S.*\n(?:-- .*\n)*(?:SELECT|INSERT|WITH)\b", text, re.MULTILINE)
    assert found == list(Statements(file.stem).by_name)
    assert len(found) == len(set(found)) == len(re.findall(r";", re.sub(r"(?m)^\s*--.*$", "", text))) > 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_statement_is_used(file: Path) -> None:
    module = (FOLDER.parent / f"{file.stem}.py").read_text(encoding="utf-8")
    assert f'Statements("{file.stem}")' in module
    if "in _SQL.by_name" not in module:
        assert [name for name in Statements(file.stem).by_name if f'"{name}"' not in module] == []


def test_comments_are_not_sent_to_the_database() -> None:
    assert not any("--" in statement for file in FILES for statement in Statements(file.stem).by_name.values())
