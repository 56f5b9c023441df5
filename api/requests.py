"""What a caller may ask, field by field."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from api.problems import INVALID_REQUEST, Errors, Problem
from api.rendering import printable
from limits.domain.client import key_problem
from limits.domain.limit import MAX_COST
from limits.enforcement import CheckRequest

MAX_CHECKS = 1_000
MAX_ERRORS = 100
"""Fields that are named where more are wrong: an answer never grows beyond what somebody reads."""
MAX_PATH_LENGTH = 8_192
MAX_METHOD_LENGTH = 32
TOKEN_CHARACTERS = r"!#$%&'*+.^_`|~0-9A-Za-z-"
"""What a method is made of (RFC 9110, sections 5.6.2 and 9.1), as a set of a regular expression."""

_METHOD = re.compile(f"[{TOKEN_CHARACTERS}]{{1,{MAX_METHOD_LENGTH}}}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def parse_check(body: Any) -> CheckRequest:
    """The check that a JSON body asks for. Raises :class:`Problem` with every field that is wrong."""
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    refuse_invalid(_check_problems(body))
    return CheckRequest(**body)


def parse_batch(body: Any) -> list[CheckRequest]:
    """The checks of a batch. Raises :class:`Problem` with every field of every check that is wrong."""
    if not isinstance(body, dict) or not isinstance(body.get("checks"), list):
        raise invalid({"checks": [f"must be a list of 1 to {MAX_CHECKS:,} checks."]})
    refuse_invalid(_batch_problems(body))
    return [CheckRequest(**check) for check in body["checks"]]


def parse_client_query(query: str) -> str:
    """The one parameter ``client`` of a query. Raises :class:`Problem`."""
    given = parse_qs(query, keep_blank_values=True)
    refuse_invalid(_client_query_problems(given))
    return given["client"][0]


def parse_query(query: str, choices: Mapping[str, str]) -> dict[str, str]:
    """The query parameters, each of which has one value that is allowed. Raises :class:`Problem`."""
    if not query:
        return {}
    given = parse_qs(query, keep_blank_values=True)
    refuse_invalid(_query_problems(given, choices))
    return {name: values[0] for name, values in given.items()}


def invalid(errors: Errors, more: int = 0) -> Problem:
    """The answer to a request with these errors, and with ``more`` that are not among them."""
    fields = "One field" if len(errors) == 1 and not more else f"{len(errors) + more:,} fields"
    beside = f" for the first {len(errors)}; there are {more:,} more" if more else ""
    return Problem(INVALID_REQUEST, f"{fields} cannot be accepted; “errors” says why{beside}.", errors=errors)


def refuse_invalid(problems: Iterable[tuple[str, str]]) -> None:
    """Raises :class:`Problem` where there are problems: (field, what is wrong with it), those of one
    field one after the other. Only the first are kept, the others are counted; so are names that
    read alike once they are cut."""
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


def _check_problems(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        problem_of = _CHECK_FIELDS.get(name)
        message = problem_of(value) if problem_of else "is not a field of a check."
        if message:
            yield name, message
    yield from _missing(fields)


def _batch_problems(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((name, "is not a field of a batch.") for name in body if name != "checks")
    checks = body["checks"]
    if not 1 <= len(checks) <= MAX_CHECKS:
        yield "checks", f"must hold 1 to {MAX_CHECKS:,} checks, not {len(checks):,}."
        return
    for at, check in enumerate(checks):
        if not isinstance(check, dict):
            yield f"checks[{at}]", "must be a JSON object."
            continue
        for name, message in _check_problems(check):
            yield f"checks[{at}].{name}", message


def _client_query_problems(given: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    yield from ((name, "is not a query parameter here.") for name in given if name != "client")
    values = given.get("client", [])
    if len(values) != 1:
        yield "client", "is needed, once."
    elif message := _name_problem(values[0]):
        yield "client", message


def _missing(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "client" not in fields:
        yield "client", "is needed."
    route = [name for name in ("method", "path") if name in fields]
    if "endpoint" in fields:
        yield from ((name, "cannot stand beside “endpoint”.") for name in route)
    elif not route:
        yield "endpoint", "is needed, or “method” and “path” in its place."
    elif len(route) == 1:
        yield ("path" if route == ["method"] else "method"), f"is needed beside “{route[0]}”."


def _name_problem(value: Any) -> str | None:
    return key_problem(value) if isinstance(value, str) else "must be a string."


def _method_problem(value: Any) -> str | None:
    valid = isinstance(value, str) and _METHOD.fullmatch(value)
    return None if valid else "must be an HTTP method, such as “GET”."


def _path_problem(value: Any) -> str | None:
    if not isinstance(value, str) or not value.startswith("/"):
        return "must be a path that begins with “/”."
    if len(value) > MAX_PATH_LENGTH:
        return f"must have at most {MAX_PATH_LENGTH:,} characters."
    return "must not contain control characters." if _FORBIDDEN.search(value) else None


def _cost_problem(value: Any) -> str | None:
    # `true` is an int to Python, and to nobody else.
    valid = type(value) is int and 1 <= value <= MAX_COST
    return None if valid else f"must be a whole number from 1 to {MAX_COST:,}."


_CHECK_FIELDS: Mapping[str, Callable[[Any], str | None]] = {
    "client": _name_problem,
    "endpoint": _name_problem,
    "method": _method_problem,
    "path": _path_problem,
    "cost": _cost_problem,
}


def _query_problems(given: Mapping[str, list[str]], choices: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, values in given.items():
        if name not in choices:
            yield name, "is not a query parameter here."
        elif values != [choices[name]]:
            yield name, f"must be {choices[name]}, once."
