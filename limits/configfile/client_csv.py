"""Clients as CSV: how a file is read and written, whatever wrote or reads it.

Read: commas, semicolons or tabs, with or without a byte order mark, ``sep=;`` and columns without a
name at the end. A line ends with LF, CR LF or CR, and with nothing else: a name may hold U+2028.

Written: with a byte order mark, by which spreadsheets know that it is UTF-8. A cell that a
spreadsheet would take for a formula begins with an apostrophe, which is taken away when the file is
read (OWASP, “CSV Injection”). A spreadsheet may also split at semicolons, so what follows one counts
as the beginning of a cell.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from typing import Any

COLUMNS = ("key", "name", "plan", "status")
BYTE_ORDER_MARK = "\ufeff"
_DELIMITERS = ",;\t"
_FORMULA = "[=+\\-@\t\r\n＝＋－＠]"
_UNGUARDED = re.compile(f"(^|[,;\t])(\"*)(?='*{_FORMULA})")
_GUARDED = re.compile(f"(^|[,;\t])(\"*)'(?='*{_FORMULA})")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file. ``fields``: column → text, only for columns that the file has."""

    number: int
    fields: Mapping[str, str]
    problem: str = ""

    @property
    def key(self) -> str:
        return self.fields.get("key", "")


class FileRefused(ValueError):
    """The file is not one of clients; the message says why. ``line``: where."""

    def __init__(self, message: str, line: int = 1) -> None:
        self.line = line
        super().__init__(message)


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark, as spreadsheets write “Unicode
    text”. Raises ``UnicodeDecodeError``."""
    is_utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if is_utf_16 else "utf-8").removeprefix(BYTE_ORDER_MARK)


def lines_of(content: str) -> Iterator[Line]:
    """The lines below the header. Raises :class:`FileRefused`."""
    lines = StringIO(content.removeprefix(BYTE_ORDER_MARK), newline="")
    first = lines.readline()
    named = _named_delimiter(first)
    skipped = 1 if named else 0
    header = lines.readline() if named else first
    if not header:
        raise FileRefused("The file is empty. Its first line names the columns: key, name, plan, status.")
    rows = csv.reader(chain([header], lines), delimiter=named or max(_DELIMITERS, key=header.count))
    try:
        yield from _lines(rows, skipped)
    except csv.Error as error:
        raise FileRefused(f"It cannot be read: {error}.", rows.line_num + skipped) from error


def _named_delimiter(line: str) -> str:
    """What ``sep=;`` names: a line that spreadsheets write and understand."""
    text = line.rstrip("\r\n")
    return text[-1] if text[:4].lower() == "sep=" and len(text) == 5 and text[-1] in _DELIMITERS else ""


def _lines(rows: Any, skipped: int) -> Iterator[Line]:
    columns = _without_empty_end([column.strip().lower() for column in next(rows)], 0)
    _require_columns(columns)
    for row in rows:
        if any(row):
            cells = _without_empty_end(row, len(columns))
            problem = _number_problem(len(cells), len(columns))
            fields = dict(zip(columns, map(unguarded, cells), strict=False))
            yield Line(rows.line_num + skipped, fields, problem)


def _number_problem(cells: int, columns: int) -> str:
    return "" if cells == columns else f"It has {cells} columns; the first line has {columns}."


def _without_empty_end(cells: list[str], least: int) -> list[str]:
    """Without the empty cells at the end that a spreadsheet adds, down to so many cells."""
    end = len(cells)
    while end > least and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _require_columns(columns: list[str]) -> None:
    if "key" not in columns:
        raise FileRefused("The first line must name the columns, and one of them must be “key”.")
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise FileRefused(f"There is no column “{unknown[0][:100]}”. The columns are key, name, plan and status.")
    if len(set(columns)) < len(columns):
        raise FileRefused("The first line names a column twice.")


def written(rows: Iterable[Iterable[str | None]]) -> Iterator[str]:
    """The file with these cells, line by line, as :func:`lines_of` reads it."""
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK + writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow([guarded(cell or "") for cell in row])


def guarded(cell: str) -> str:
    """The cell as a spreadsheet takes it for text."""
    return _UNGUARDED.sub(r"\1\2'", cell)


def unguarded(cell: str) -> str:
    """What :func:`guarded` was given."""
    return _GUARDED.sub(r"\1\2", cell)


class _Echo:
    """A file that gives back what is written."""

    def write(self, text: str) -> str:
        return text
