"""The SQL statements that the ORM cannot express as one statement: files in the folder ``sql``, one for each subject.

A file contains statements that begin with a line ``-- name: NAME`` and end with a semicolon. Parameters are bound by
name: ``%(name)s``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import connection

FOLDER = Path(__file__).parent / "sql"


class Statements:
    """The statements of one file, named without its extension."""

    def __init__(self, file: str) -> None:
        text = (FOLDER / f"{file}.sql").read_text(encoding="utf-8")
        self.by_name = dict(map(_parse, text.split("-- name: ")[1:]))

    def rows(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement and returns its rows; none if it returns none."""
        with connection.cursor() as cursor:
            cursor.execute(self.by_name[name], parameters)
            return cursor.fetchall() if cursor.description else []

    def number(self, name: str, **parameters: Any) -> int:
        """Runs a statement that returns one whole number."""
        return int(self.rows(name, **parameters)[0][0])


def _parse(text: str) -> tuple[str, str]:
    """Returns the name and the statement, without comments."""
    name, *lines = text.splitlines()
    return name, "\n".join(line for line in lines if line and not line.lstrip().startswith("--")).rstrip(";")


def arrays(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Returns the columns of rows by name, as parameters for ``unnest``."""
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
