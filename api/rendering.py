"""JSON answers."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
MAX_NAME = 200
"""Characters of a caller's name that an answer repeats."""


def json_response(
    content: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> HttpResponse:
    """An answer with ``content`` as its JSON body."""
    return HttpResponse(orjson.dumps(content), status=status, headers=headers, content_type=content_type)


def printable(name: str) -> str:
    """A name that a caller chose, as an answer repeats it: with halves of surrogate pairs spelled out,
    since UTF-8 cannot carry them, and cut where it is longer than any that means something."""
    if len(name) > MAX_NAME:
        name = f"{name[:MAX_NAME]}…"
    return name.encode("utf-8", "backslashreplace").decode()
