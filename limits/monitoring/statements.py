"""The SQL statements that the ORM cannot express as one statement: files in the folder ``sql``, one for each subject.

A file contains statements that begin with a line ``-- name: NAME`` and end with a semicolon. Parameters are bound by
name: ``%(name)s``. A condition that several statements share is a fragment: it begins with a line ``-- fragment: NAME``
before the first statement, and ``{NAME(parameter)}`` in a statement stands for it, with the name of the parameter in
place of ``{parameter}``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import connection

FOLDER = Path(__file__).parent / "sql"

STREAMED_ROWS = 2_000
"""Rows that are read at once from a statement with many."""


class Statements:
    """The statements of one file, named without its extension."""

    def __init__(self, file: str) -> None:
        beginning, *statements = (FOLDER / f"{file}.sql").read_text(encoding="utf-8").split("-- name: ")
        fragments = dict(map(_parse, beginning.split("-- fragment: ")[1:]))
        self.by_name = {name: _expanded(text, fragments) for name, text in map(_parse, statements)}

    def rows(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Runs a statement and returns its rows; none if it returns none."""
        with connection.cursor() as cursor:
            cursor.execute(self.by_name[name], parameters)
            return cursor.fetchall() if cursor.description else []

    def stream(self, name: str, **parameters: Any) -> Iterator[tuple[Any, ...]]:
        """Runs a statement inside a transaction, and yields its rows, of which only some are in memory at a time."""
        with connection.chunked_cursor() as cursor:
            cursor.execute(self.by_name[name], parameters)
            while rows := cursor.fetchmany(STREAMED_ROWS):
                yield from rows

    def number(self, name: str, **parameters: Any) -> int:
        """Runs a statement that returns one whole number."""
        return int(self.rows(name, **parameters)[0][0])


def _parse(text: str) -> tuple[str, str]:
    """Returns the name and the statement, without comments."""
    name, *lines = text.splitlines()
    return name, "\n".join(line for line in lines if line and not line.lstrip().startswith("--")).rstrip(";")


def _expanded(statement: str, fragments: Mapping[str, str]) -> str:
    return re.sub(
        r"\{(\w+)\((\w+)\)\}", lambda use: fragments[use[1]].replace("{parameter}", use[2]).strip(), statement
    )


def arrays(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Returns the columns of rows by name, as parameters for ``unnest``."""
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
