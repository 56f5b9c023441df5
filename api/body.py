"""From the bytes of a request to a JSON value, strictly.

The parser is the standard library's: a faster one, orjson, keeps the last of two equal names
without a word. What stands before the platform may have read the first, and the two would decide
about different clients.
"""

import json
from typing import Any, NoReturn

from django.http import UnreadablePostError
from rest_framework.request import Request

from api.problems import BODY_TOO_LARGE, LENGTH_REQUIRED, MALFORMED_BODY, UNSUPPORTED_MEDIA_TYPE, Problem
from api.rendering import JSON, printable
from limits.domain.nesting import TOO_DEEP, is_nested_too_deeply

MAX_BODY = 64 * 1024
MAX_BATCH_BODY = 4 * 1024 * 1024


def read_json(request: Request, limit: int = MAX_BODY) -> Any:
    """The JSON value that a request carries, in at most ``limit`` bytes. Raises :class:`Problem`."""
    if request.META.get("CONTENT_TYPE") != JSON:
        _require_json(request)
    return parse_json(_read(request, limit))


def parse_json(data: bytes) -> Any:
    """The value of one JSON text. Raises :class:`Problem` for everything that is not one."""
    value = _decoded(data)
    if is_nested_too_deeply(value):
        raise _malformed(TOO_DEEP)
    return value


def _decoded(data: bytes) -> Any:
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"is not JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except RecursionError as error:
        raise _malformed(TOO_DEEP) from error
    except ValueError as error:
        # The one error of the decoder without a place: more digits than Python turns into a number.
        raise _malformed("holds a number with too many digits.") from error


def _require_json(request: Request) -> None:
    """Parameters are ignored: JSON has one encoding, whatever ``charset`` says (RFC 8259, section 11)."""
    media_type = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip()
    if media_type.lower() != JSON:
        given = f"“{printable(media_type)}”" if media_type else "no media type"
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE, f"The body was sent with {given}, not with “{JSON}”.", headers={"Accept": JSON}
        )


def _read(request: Request, limit: int) -> bytes:
    try:
        data: bytes = request.read(limit + 1)
    except UnreadablePostError as error:
        raise _malformed("broke off before its end.") from error
    if len(data) > limit:
        raise Problem(BODY_TOO_LARGE, f"The body has more than {limit:,} bytes.")
    if not data:
        _explain_nothing(request)
    return data


def _explain_nothing(request: Request) -> NoReturn:
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise Problem(LENGTH_REQUIRED, "The body was sent in chunks, without its length.")
    raise _malformed("is empty.")


def _malformed(message: str) -> Problem:
    return Problem(MALFORMED_BODY, f"The body {message}", errors={"body": [message]})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _malformed(f"has the name “{printable(twice)}” twice in one object.")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise _malformed(f"holds {name}, which is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
