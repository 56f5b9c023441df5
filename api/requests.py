"""Reads the JSON body of requests, strictly, and validates checks field by field.

The parser is the standard library's. A faster one, orjson, silently uses the last of two equal names.
A proxy in front of the platform may have used the first, and the two would decide about different
clients.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn
from urllib.parse import parse_qs

from django.http import UnreadablePostError
from rest_framework.request import Request

from api.problems import (
    BODY_TOO_LARGE,
    INVALID_REQUEST,
    LENGTH_REQUIRED,
    MALFORMED_BODY,
    UNSUPPORTED_MEDIA_TYPE,
    Errors,
    ProblemResponse,
)
from api.rendering import JSON, printable
from limits.domain.nesting import MAX_LEVELS, TOO_DEEP, is_nested_too_deeply
from ratelimit_enforcer.domain.attributes import normalized, problems
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.limit import MAX_COST
from ratelimit_enforcer.engine import CheckRequest

FieldProblems = Mapping[str, Callable[[Any], str | None]]
"""Field → a function that returns what is wrong with a value, or None."""

MAX_BODY_BYTES = 64 * 1024
MAX_BATCH_BODY_BYTES = 4 * 1024 * 1024
MAX_CONFIG_BYTES = 8 * 1024 * 1024
"""A config file, also as a part of a change set."""
LARGE_BODIES = MappingProxyType(
    {"/v1/check/batch": MAX_BATCH_BODY_BYTES, "/v1/reservations/settle": MAX_BATCH_BODY_BYTES}
)
"""Path → the maximum size of its body in bytes, if that is more than :data:`MAX_BODY_BYTES`."""


def read_json(request: Request, limit: int = MAX_BODY_BYTES) -> Any:
    """The JSON value in a request's body of at most ``limit`` bytes. Raises :class:`ProblemResponse`."""
    if request.META.get("CONTENT_TYPE") != JSON:
        _require_json(request)
    return parse_json(read_body(request, limit))


def parse_json(data: bytes) -> Any:
    """The value of one JSON text. Raises :class:`ProblemResponse` for anything else."""
    value = _decoded(data)
    # Fewer brackets than levels are allowed are the common case, and quickly counted.
    if data.count(b"{") + data.count(b"[") > MAX_LEVELS and is_nested_too_deeply(value):
        raise malformed(TOO_DEEP)
    return value


def _decoded(data: bytes) -> Any:
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise malformed(f"is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise malformed(f"is not JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except RecursionError as error:
        raise malformed(TOO_DEEP) from error
    except ValueError as error:
        # The only error of the decoder without a position: more digits than Python converts to a number.
        raise malformed("contains a number with too many digits.") from error


def _require_json(request: Request) -> None:
    """Parameters are ignored: JSON has one encoding, regardless of ``charset`` (RFC 8259, section 11)."""
    media_type = request.META.get("CONTENT_TYPE", "").partition(";")[0].strip()
    if media_type.lower() != JSON:
        given = f"“{printable(media_type)}”" if media_type else "no media type"
        raise ProblemResponse(
            UNSUPPORTED_MEDIA_TYPE, f"The body was sent as {given}, not as “{JSON}”.", headers={"Accept": JSON}
        )


def read_body(request: Request, limit: int) -> bytes:
    """A request's body of at most ``limit`` bytes. Raises :class:`ProblemResponse`, also if it is empty."""
    try:
        data: bytes = request.read(limit + 1)
    except UnreadablePostError as error:
        raise malformed("is incomplete.") from error
    if len(data) > limit:
        raise ProblemResponse(BODY_TOO_LARGE, f"The body has more than {limit:,} bytes.")
    if not data:
        _reject_empty_body(request)
    return data


def _reject_empty_body(request: Request) -> NoReturn:
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise ProblemResponse(LENGTH_REQUIRED, "The body was sent in chunks, without a Content-Length.")
    raise malformed("is empty.")


def malformed(message: str) -> ProblemResponse:
    """The response to a body of which this is wrong, such as “is incomplete.”"""
    return ProblemResponse(MALFORMED_BODY, f"The body {message}", errors={"body": [message]})


def _object_of_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise malformed(f"has the duplicate name “{printable(twice)}” in one object.")
    return fields


def _reject_constant(name: str) -> NoReturn:
    raise malformed(f"contains {name}, which is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object_of_unique_names, parse_constant=_reject_constant)


MAX_CHECKS = 1_000
MAX_ERRORS = 100
"""Maximum number of invalid fields that a response lists, which bounds the size of the response."""
MAX_PATH_LENGTH = 8_192
MAX_METHOD_LENGTH = 32
TOKEN_CHARACTERS = r"!#$%&'*+.^_`|~0-9A-Za-z-"
"""The characters of a method (RFC 9110, sections 5.6.2 and 9.1), for a character class of a regular expression."""

_ATTRIBUTE = re.compile(r"attributes\[(.*)\]", re.DOTALL)
_METHOD = re.compile(f"[{TOKEN_CHARACTERS}]{{1,{MAX_METHOD_LENGTH}}}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def parse_check(body: Any) -> CheckRequest:
    """The check in a JSON body. Raises :class:`ProblemResponse`, which lists every invalid field."""
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    reject_invalid(check_problems(body))
    return check_of(body)


def parse_batch(body: Any) -> list[CheckRequest]:
    """The checks of a batch. Raises :class:`ProblemResponse`, which lists every invalid field of every check."""
    if not isinstance(body, dict) or not isinstance(body.get("checks"), list):
        raise invalid({"checks": [f"must be a list of 1 to {MAX_CHECKS:,} checks."]})
    reject_invalid(_batch_problems(body))
    return [check_of(check) for check in body["checks"]]


def check_of(fields: Mapping[str, Any]) -> CheckRequest:
    """The check with these valid fields."""
    if "attributes" not in fields:
        return CheckRequest(**fields)
    return CheckRequest(**{**fields, "attributes": normalized(fields["attributes"])})


def parse_client_query(query: str) -> CheckRequest:
    """The client and the attributes (``attributes[ip]=…``) of a query. Raises :class:`ProblemResponse` if a
    parameter is missing or invalid."""
    given = parse_qs(query, keep_blank_values=True)
    attributes = {match[1]: given.pop(name) for name in [*given] if (match := _ATTRIBUTE.fullmatch(name))}
    reject_invalid([*_client_query_problems(given), *_attribute_query_problems(attributes)])
    values = {name: values[0] for name, values in attributes.items()}
    return CheckRequest(given["client"][0], attributes=normalized(values))


def _attribute_query_problems(attributes: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    repeated = [name for name, values in attributes.items() if len(values) > 1]
    yield from ((f"attributes[{name}]", "must be given once.") for name in repeated)
    for name, message in problems({name: values[0] for name, values in attributes.items()}):
        yield f"attributes[{name}]" if name else "attributes", message


def parse_query(query: str, choices: Mapping[str, str]) -> dict[str, str]:
    """The query parameters; ``choices``: name → the one allowed value. Raises :class:`ProblemResponse`."""
    if not query:
        return {}
    given = parse_qs(query, keep_blank_values=True)
    reject_invalid(_query_problems(given, choices))
    return {name: values[0] for name, values in given.items()}


def invalid(errors: Errors, more: int = 0) -> ProblemResponse:
    """The response to a request with these errors, and ``more`` that are not listed."""
    fields = "One field is invalid" if len(errors) == 1 and not more else f"{len(errors) + more:,} fields are invalid"
    part = f" for the first {len(errors)}" if more else ""
    return ProblemResponse(INVALID_REQUEST, f"{fields}; see “errors”{part}.", errors=errors)


def reject_invalid(problems: Iterable[tuple[str, str]]) -> None:
    """Raises :class:`ProblemResponse` if there are problems: pairs of (field, message), grouped by field. The
    first :data:`MAX_ERRORS` fields are listed, and the other problems counted; so are duplicate messages
    of names that are equal once truncated."""
    errors: defaultdict[str, dict[str, None]] = defaultdict(dict)
    more = 0
    for name, message in problems:
        name = printable(name)
        is_new = name not in errors
        if (is_new and len(errors) == MAX_ERRORS) or (not is_new and message in errors[name]):
            more += 1
        else:
            errors[name][message] = None
    if errors:
        raise invalid({name: list(messages) for name, messages in errors.items()}, more)


def check_problems(
    fields: Mapping[str, Any], more: FieldProblems = MappingProxyType({}), what: str = "check"
) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for each invalid field of a check. ``more``: the fields that ``what`` has besides, or
    checks otherwise."""
    for name, value in fields.items():
        if name == "attributes":
            yield from _attribute_problems(value)
            continue
        problem_of = more.get(name) or _CHECK_FIELDS.get(name)
        message = problem_of(value) if problem_of else f"is not a field of a {what}."
        if message:
            yield name, message
    yield from _missing(fields)


def _batch_problems(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((name, "is not a field of a batch.") for name in body if name != "checks")
    checks = body["checks"]
    if not 1 <= len(checks) <= MAX_CHECKS:
        yield "checks", f"must have 1 to {MAX_CHECKS:,} checks, not {len(checks):,}."
        return
    for at, check in enumerate(checks):
        if not isinstance(check, dict):
            yield f"checks[{at}]", "must be a JSON object."
            continue
        for name, message in check_problems(check):
            yield f"checks[{at}].{name}", message


def _client_query_problems(given: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    yield from ((name, "is not a query parameter here.") for name in given if name != "client")
    values = given.get("client", [])
    if len(values) != 1:
        yield "client", "must be given exactly once."
    elif message := _name_problem(values[0]):
        yield "client", message


def _missing(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "client" not in fields:
        yield "client", "is required."
    route = [name for name in ("method", "path") if name in fields]
    if "endpoint" in fields:
        yield from ((name, "cannot be combined with “endpoint”.") for name in route)
    elif not route:
        yield "endpoint", "is required, or “method” and “path” instead."
    elif len(route) == 1:
        yield ("path" if route == ["method"] else "method"), f"is required together with “{route[0]}”."


def _name_problem(value: Any) -> str | None:
    return key_problem(value) if isinstance(value, str) else "must be a string."


def _attribute_problems(attributes: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(attributes, dict):
        yield "attributes", "must be a JSON object of names and values."
        return
    for name, message in problems(attributes):
        yield f"attributes.{name}" if name else "attributes", message


def method_problem(value: Any) -> str | None:
    """The reason why a value is not a method of HTTP, or None."""
    valid = isinstance(value, str) and _METHOD.fullmatch(value)
    return None if valid else "must be an HTTP method, such as “GET”."


def path_problem(value: Any) -> str | None:
    """The reason why a value is not the path of a request, or None."""
    if not isinstance(value, str) or not value.startswith("/"):
        return "must be a path that begins with “/”."
    if len(value) > MAX_PATH_LENGTH:
        return f"must have at most {MAX_PATH_LENGTH:,} characters."
    return "must not contain control characters." if _FORBIDDEN.search(value) else None


def whole_number(least: int, most: int) -> Callable[[Any], str | None]:
    """A function that returns what is wrong with a value that must be a whole number in this range, or None."""

    def problem_of(value: Any) -> str | None:
        # `true` is an int in Python, but not a number in JSON.
        valid = type(value) is int and least <= value <= most
        return None if valid else f"must be a whole number from {least:,} to {most:,}."

    return problem_of


_CHECK_FIELDS: FieldProblems = {
    "client": _name_problem,
    "endpoint": _name_problem,
    "method": method_problem,
    "path": path_problem,
    "cost": whole_number(1, MAX_COST),
}


def _query_problems(given: Mapping[str, list[str]], choices: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, values in given.items():
        if name not in choices:
            yield name, "is not a query parameter here."
        elif values != [choices[name]]:
            yield name, f"must be {choices[name]}, given once."
