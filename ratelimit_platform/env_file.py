"""``DATA_DIR/env``: values that `make run` generated, for the other processes and the next run.

Each line is ``NAME=value``, optionally after ``export``. The value is the rest of the line, literally:
nothing in it is expanded, and no character ends it. Single quotes around a value are removed. A value that
begins with a double quotation mark is a JSON string, which can contain line breaks, and spaces at its ends.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"(?:export )?([A-Za-z_][A-Za-z_0-9]*)=(.*)", re.DOTALL)


def read(file: Path) -> dict[str, str]:
    """The variables in the file; empty if there is no file. Lines that cannot be parsed, such as the rest of
    a half-written line, are reported on standard error and skipped."""
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return {}
    variables = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, value = _parse(line.rstrip("\r"))
        except ValueError:
            print(f"{file}, line {number}: not NAME=value; the line is ignored.", file=sys.stderr)
            continue
        variables[name] = value
    return variables


def write(file: Path, variables: Mapping[str, str]) -> None:
    """Replaces the file atomically, readable only by this user."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            output.writelines(f"{name}={_format_value(value)}\n" for name, value in variables.items())
            output.flush()
            os.fsync(output.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _parse(line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("no name")
    name, value = match.groups()
    if value.startswith('"'):
        value = json.loads(value)
    elif len(value) > 1 and value[0] == value[-1] == "'":
        value = value[1:-1]
    return name, value


def _format_value(value: str) -> str:
    is_plain = value == value.strip() and value.isprintable() and value[:1] not in ("'", '"')
    return value if is_plain else json.dumps(value)
