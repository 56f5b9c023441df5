"""JSON answers."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"


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
    """A name that a caller chose, with halves of surrogate pairs spelled out: UTF-8 cannot carry them."""
    return name.encode("utf-8", "backslashreplace").decode()
