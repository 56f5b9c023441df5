"""``DATA_DIR/env``: what `make run` made up, for the other processes and the next run.

One ``NAME=value`` in each line. The value is the rest of the line, literally: nothing in it is
expanded, and no character ends it. One that begins with a quotation mark is a JSON string, which can
hold line ends and spaces at its ends too.
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
    """The variables of the file; none where there is no file. What cannot be read, such as the rest of
    a half-written line, is named on standard error and left out."""
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
            print(f"{file}, line {number}: not NAME=value; it is ignored.", file=sys.stderr)
            continue
        variables[name] = value
    return variables


def write(file: Path, variables: Mapping[str, str]) -> None:
    """Replaces the file in one step, for this user's eyes only."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            output.writelines(f"{name}={_written(value)}\n" for name, value in variables.items())
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


def _written(value: str) -> str:
    is_plain = value == value.strip() and value.isprintable() and value[:1] not in ("'", '"')
    return value if is_plain else json.dumps(value)
