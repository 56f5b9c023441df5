"""Clients as CSV: reading and writing files, compatible with common spreadsheets.

Read: commas, semicolons or tabs, with or without a byte order mark, ``sep=;`` and unnamed columns at the end.
Lines end with LF, CR LF or CR only: a name may contain U+2028.

Written: with a byte order mark, by which spreadsheets recognize UTF-8. A cell that a spreadsheet would treat
as a formula begins with an apostrophe, which is removed when the file is read (OWASP, “CSV Injection”). A
spreadsheet may also split at semicolons, so the text after one counts as the beginning of a cell.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from typing import Any

from limits.domain.descriptions import quantity

COLUMNS = ("key", "name", "plan", "status", "tags", "parent")
_COLUMNS_IN_WORDS = f"{', '.join(COLUMNS[:-1])} and {COLUMNS[-1]}"
BYTE_ORDER_MARK = "\ufeff"
DELIMITERS = ",;\t"
_FORMULA = "[=+\\-@\t\r\n＝＋－＠]"
_FORMULA_START = re.compile(f"(^|[,;\t])(\"*)(?='*{_FORMULA})")
_ESCAPED_FORMULA = re.compile(f"(^|[,;\t])(\"*)'(?='*{_FORMULA})")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file. ``fields``: column → text, only for columns of the file."""

    number: int
    fields: Mapping[str, str]
    problem: str = ""

    @property
    def key(self) -> str:
        """The client's key on this line; empty if the line or the file has none."""
        return self.fields.get("key", "")


class InvalidClientFile(ValueError):
    """The file is not a file of clients; the message gives the reason. ``line``: its position."""

    def __init__(self, message: str, line: int = 1) -> None:
        self.line = line
        super().__init__(message)


def decode(data: bytes) -> str:
    """Returns the text of a file: UTF-8, or UTF-16 with a byte order mark, which spreadsheets call “Unicode
    text”. Raises ``UnicodeDecodeError``."""
    is_utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return data.decode("utf-16" if is_utf_16 else "utf-8").removeprefix(BYTE_ORDER_MARK)


def parse_lines(content: str) -> Iterator[Line]:
    """Yields the lines below the header. Raises :class:`InvalidClientFile`."""
    lines = StringIO(content.removeprefix(BYTE_ORDER_MARK), newline="")
    first = lines.readline()
    named = _named_delimiter(first)
    skipped = 1 if named else 0
    header = lines.readline() if named else first
    if not header:
        raise InvalidClientFile(f"The file is empty. The first line must name the columns: {', '.join(COLUMNS)}.")
    rows = csv.reader(chain([header], lines), delimiter=named or max(DELIMITERS, key=header.count))
    try:
        yield from _lines(rows, skipped)
    except csv.Error as error:
        raise InvalidClientFile(f"The line cannot be read: {error}.", rows.line_num + skipped) from error


def _named_delimiter(line: str) -> str:
    """Returns the delimiter named by ``sep=;``, a line that spreadsheets write and understand."""
    text = line.rstrip("\r\n")
    return text[-1] if text[:4].lower() == "sep=" and len(text) == 5 and text[-1] in DELIMITERS else ""


def _lines(rows: Any, skipped: int) -> Iterator[Line]:
    columns = _without_empty_end([column.strip().lower() for column in next(rows)], 0)
    _require_columns(columns)
    for row in rows:
        if any(row):
            cells = _without_empty_end(row, len(columns))
            problem = _number_problem(len(cells), len(columns))
            fields = dict(zip(columns, map(unescape_formula, cells), strict=False))
            yield Line(rows.line_num + skipped, fields, problem)


def _number_problem(cells: int, columns: int) -> str:
    return "" if cells == columns else f"The line has {quantity(cells, 'column')}, but the first line has {columns}."


def _without_empty_end(cells: list[str], least: int) -> list[str]:
    """Removes empty cells that a spreadsheet adds at the end, but leaves at least ``least`` cells."""
    end = len(cells)
    while end > least and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _require_columns(columns: list[str]) -> None:
    if "key" not in columns:
        raise InvalidClientFile("The first line must name the columns, and one of them must be “key”.")
    if unknown := [column for column in columns if column not in COLUMNS]:
        raise InvalidClientFile(f"There is no column “{unknown[0][:100]}”. The columns are {_COLUMNS_IN_WORDS}.")
    if len(set(columns)) < len(columns):
        raise InvalidClientFile("The first line names a column twice.")


def format_lines(rows: Iterable[Iterable[str | None]]) -> Iterator[str]:
    """Yields the lines of a file with these cells, in the format that :func:`parse_lines` reads."""
    return lines_of(COLUMNS, rows)


def lines_of(columns: Iterable[str], rows: Iterable[Iterable[str | None]]) -> Iterator[str]:
    """Yields the lines of a file with these columns and cells, with the precautions named at the top."""
    writer = csv.writer(Echo())
    yield BYTE_ORDER_MARK + writer.writerow(columns)
    for row in rows:
        yield writer.writerow([escape_formula(cell or "") for cell in row])


def escape_formula(cell: str) -> str:
    """Returns the cell in a form that spreadsheets treat as text."""
    return _FORMULA_START.sub(r"\1\2'", cell)


def unescape_formula(cell: str) -> str:
    """Reverses :func:`escape_formula`."""
    return _ESCAPED_FORMULA.sub(r"\1\2", cell)


class Echo:
    """A file object that returns the text written to it."""

    def write(self, text: str) -> str:
        return text
