"""Reports as CSV, for people and their spreadsheets."""

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice

from limits.domain.client_csv import lines_of
from limits.models.usage import UNKNOWN_ENDPOINT
from limits.reports.subjects import By, Report, Row

LINES = 500
"""Lines that are sent at once."""

UNREGISTERED, NONE = "(unregistered)", "(none)"

_NAMES = {By.CLIENT: UNREGISTERED, By.TREE: UNREGISTERED, By.ENDPOINT: UNKNOWN_ENDPOINT}


def about_text(by: By, value: str | None) -> str:
    """What a row is about, as shown to people."""
    return _NAMES.get(by, NONE) if value is None else value


def csv_parts(report: Report, rows: Generator[Row]) -> Iterator[str]:
    """Yields parts of a file of some hundred lines: a column for each of ``by``, one for each figure, and
    ``adjustment`` (“yes” in rows of counts that arrived after the close of their month)."""
    with closing(rows):
        lines = lines_of([*report.columns, "adjustment"], (_cells(report, row) for row in rows))
        while part := "".join(islice(lines, LINES)):
            yield part


def _cells(report: Report, row: Row) -> list[str]:
    about = (about_text(by, value) for by, value in zip(report.by, row.about, strict=True))
    return [*about, *map(str, row.figures), "yes" if row.is_adjustment else ""]
