"""Reports as CSV, for people and their spreadsheets."""

import csv
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice

from limits.domain.client_csv import BYTE_ORDER_MARK, Echo, escape_formula
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
        lines = _lines(report, rows)
        while part := "".join(islice(lines, LINES)):
            yield part


def _lines(report: Report, rows: Generator[Row]) -> Iterator[str]:
    """Yields the lines. Numbers are no formulas, also negative ones, and are written as they are."""
    writer = csv.writer(Echo())
    yield BYTE_ORDER_MARK + writer.writerow([*report.columns, "adjustment"])
    for row in rows:
        about = (escape_formula(about_text(by, value)) for by, value in zip(report.by, row.about, strict=True))
        yield writer.writerow([*about, *row.figures, "yes" if row.is_adjustment else ""])
