"""Parsing of checks: valid forms, and rejection of everything else with a reason."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.problems import INVALID_REQUEST, MALFORMED_BODY, ProblemResponse
from api.requests import (
    MAX_CHECKS,
    MAX_ERRORS,
    _object_of_unique_names,
    parse_batch,
    parse_check,
    parse_json,
    parse_query,
)
from ratelimit_enforcer.engine import CheckRequest

STRING = "must be a string."
CONTROL = "must not contain control characters."
LENGTH = "must have 1 to 256 characters."
METHOD = "must be an HTTP method, such as “GET”."
COST = "must be a whole number from 1 to 1,000,000."
BESIDE = "cannot be combined with “endpoint”."
SEARCH = {"client": "acme", "endpoint": "search"}
ROUTE = {"client": "acme", "method": "GET", "path": "/api/search"}


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (SEARCH, CheckRequest("acme", "search")),
        (SEARCH | {"cost": 1_000_000}, CheckRequest("acme", "search", cost=1_000_000)),
        (ROUTE, CheckRequest("acme", method="GET", path="/api/search")),
        (ROUTE | {"method": "M-SEARCH", "path": "/" + "é" * 8_191}, None),
        ({"client": "é" * 256, "endpoint": "Not a slug"}, None),
    ],
)
def test_valid_checks(body: dict[str, Any], request_: CheckRequest | None) -> None:
    assert parse_check(body) == (request_ or CheckRequest(**body))


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"client": ["is required."], "endpoint": ["is required, or “method” and “path” instead."]}),
        ({"client": "acme"}, {"endpoint": ["is required, or “method” and “path” instead."]}),
        ({"endpoint": "search"}, {"client": ["is required."]}),
        ({"client": "acme", "method": "GET"}, {"path": ["is required together with “method”."]}),
        ({"client": "acme", "path": "/"}, {"method": ["is required together with “path”."]}),
        (SEARCH | {"method": "GET"}, {"method": [BESIDE]}),
        (
            SEARCH | {"method": "GET", "path": 1},
            {"method": [BESIDE], "path": ["must be a path that begins with “/”.", BESIDE]},
        ),
        (SEARCH | {"client": None}, {"client": [STRING]}),
        (SEARCH | {"client": 17}, {"client": [STRING]}),
        (SEARCH | {"client": ""}, {"client": [LENGTH]}),
        (SEARCH | {"client": "a" * 257}, {"client": [LENGTH]}),
        (SEARCH | {"client": "a\x00b"}, {"client": [CONTROL]}),
        (SEARCH | {"client": "a\x9f"}, {"client": [CONTROL]}),
        (SEARCH | {"client": "\ud800"}, {"client": [CONTROL]}),
        (SEARCH | {"endpoint": None}, {"endpoint": [STRING]}),
        (SEARCH | {"endpoint": ["search"]}, {"endpoint": [STRING]}),
        (SEARCH | {"endpoint": "a\nb"}, {"endpoint": [CONTROL]}),
        (ROUTE | {"method": "GET /"}, {"method": [METHOD]}),
        (ROUTE | {"method": ""}, {"method": [METHOD]}),
        (ROUTE | {"method": "GET\n"}, {"method": [METHOD]}),
        (ROUTE | {"method": None}, {"method": [METHOD]}),
        (ROUTE | {"path": "api"}, {"path": ["must be a path that begins with “/”."]}),
        (ROUTE | {"path": None}, {"path": ["must be a path that begins with “/”."]}),
        (ROUTE | {"path": "/" + "a" * 8_192}, {"path": ["must have at most 8,192 characters."]}),
        (ROUTE | {"path": "/a\x00"}, {"path": [CONTROL]}),
        (ROUTE | {"path": "/\udfff"}, {"path": [CONTROL]}),
        (SEARCH | {"Client": "acme"}, {"Client": ["is not a field of a check."]}),
        (SEARCH | {"\ud800": 1}, {"\\ud800": ["is not a field of a check."]}),
    ],
)
def test_every_invalid_field_is_reported(body: dict[str, Any], errors: dict[str, list[str]]) -> None:
    refused = refusal(body)

    assert (refused.kind, refused.errors) == (INVALID_REQUEST, errors)


@pytest.mark.parametrize("cost", [0, -1, 1_000_001, 10**300, 1.0, float("inf"), True, False, "1", None, [1]])
def test_a_cost_is_a_whole_number(cost: Any) -> None:
    assert refusal(SEARCH | {"cost": cost}).errors == {"cost": [COST]}


@pytest.mark.parametrize("body", [[], [SEARCH], "acme", 1, None, True])
def test_a_body_is_an_object(body: Any) -> None:
    assert refusal(body).errors == {"body": ["must be a JSON object."]}


def refusal(body: Any) -> ProblemResponse:
    with pytest.raises(ProblemResponse) as refused:
        parse_check(body)
    return refused.value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not JSON at line 1, column 1"),
        (b"{", "is not JSON at line 1, column 2"),
        (b"{}\n{}", "is not JSON at line 2, column 1"),
        (b"\xef\xbb\xbf{}", "is not JSON at line 1, column 1"),
        (b'{"client": "a\nb"}', "is not JSON at line 1, column 14"),
        (b"\xff", "is not UTF-8 at byte 0."),
        (b'{"client": "\xc3"}', "is not UTF-8 at byte 12."),
        (b'"\xed\xa0\x80"', "is not UTF-8 at byte 1."),
        (b'{"cost": NaN}', "contains NaN, which is not JSON."),
        (b'{"cost": -Infinity}', "contains -Infinity, which is not JSON."),
        (b'{"client": "a", "client": "b"}', "has the duplicate name “client” in one object."),
        (b'{"client": {"\\ud800": 1, "\\ud800": 1}}', "has the duplicate name “\\ud800” in one object."),
        (b"9" * 5_000, "contains a number with too many digits."),
        (b"[" * 30_000 + b"]" * 30_000, "is nested too deeply."),
        (b"[" * 102 + b"]" * 102, "is nested too deeply."),
        (b'{"a":' * 101 + b"[]" + b"}" * 101, "is nested too deeply."),
    ],
)
def test_invalid_json_is_reported(data: bytes, message: str) -> None:
    with pytest.raises(ProblemResponse) as refused:
        parse_json(data)

    assert refused.value.kind is MALFORMED_BODY
    assert refused.value.errors is not None
    assert refused.value.errors["body"][0].startswith(message)


def test_a_value_may_be_nested_a_hundred_levels_deep() -> None:
    assert parse_json(b"[" * 101 + b"]" * 101)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["client", "endpoint", "method", "path", "cost"]) | st.text(st.characters(), max_size=8)
PLAUSIBLE = st.sampled_from(["acme", "search", "GET", "/api/search", 1, 1_000_000]) | VALUES


@given(st.one_of(st.dictionaries(FIELDS, PLAUSIBLE, max_size=6), VALUES).map(json.dumps).map(str.encode) | st.binary())
@example(b'{"client": "acme", "endpoint": "search", "cost": 1e400}')
def test_any_bytes_are_a_check_or_a_problem(data: bytes) -> None:
    parsed = check_or_problem(data)

    if isinstance(parsed, ProblemResponse):
        assert parsed.response().status_code == 400
        assert parsed.errors
    else:
        assert parsed == CheckRequest(**json.loads(data))


def check_or_problem(data: bytes) -> CheckRequest | ProblemResponse:
    try:
        return parse_check(parse_json(data))
    except ProblemResponse as problem:
        return problem


@pytest.mark.parametrize(("query", "values"), [("", {}), ("status=200", {"status": "200"})])
def test_valid_queries(query: str, values: dict[str, str]) -> None:
    assert parse_query(query, {"status": "200"}) == values


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("status=429", {"status": ["must be 200, given once."]}),
        ("status=", {"status": ["must be 200, given once."]}),
        ("status", {"status": ["must be 200, given once."]}),
        ("status=200&status=200", {"status": ["must be 200, given once."]}),
        ("Status=200", {"Status": ["is not a query parameter here."]}),
        ("%ff=%00&status=200", {"\ufffd": ["is not a query parameter here."]}),
    ],
)
def test_invalid_queries_are_rejected(query: str, errors: dict[str, list[str]]) -> None:
    with pytest.raises(ProblemResponse) as refused:
        parse_query(query, {"status": "200"})

    assert refused.value.errors == errors


class Name(str):
    """A string that counts its comparisons."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str(self) == other

    __hash__ = str.__hash__


def comparisons(names: int) -> int:
    """The number of comparisons that detect a duplicate of the last of so many names."""
    Name.compared = 0
    with pytest.raises(ProblemResponse, match=f"duplicate name “k{names - 1}”"):
        _object_of_unique_names([(Name(f"k{at}"), None) for at in (*range(names), names - 1)])
    return Name.compared


def test_duplicate_names_are_found_in_one_pass() -> None:
    assert comparisons(400) <= 2.5 * comparisons(200)


@pytest.mark.parametrize("names", [MAX_ERRORS, MAX_ERRORS + 1, 50_000])
def test_only_the_first_invalid_fields_are_reported(names: int) -> None:
    problem = refusal(SEARCH | {f"x{at}": 1 for at in range(names)})
    assert list(problem.errors or ()) == [f"x{at}" for at in range(min(names, MAX_ERRORS))]
    part = f" for the first {MAX_ERRORS}" if names > MAX_ERRORS else ""
    assert problem.detail == f"{names:,} fields are invalid; see “errors”{part}."


def test_the_size_of_an_error_response_to_a_batch_is_bounded() -> None:
    check = {f"{'x' * 100}{at}": 1 for at in range(30)}
    with pytest.raises(ProblemResponse) as refused:
        parse_batch({"checks": [check] * MAX_CHECKS})
    assert len(refused.value.response().content) < 30_000
    assert refused.value.errors is not None
    assert next(iter(refused.value.errors)).startswith("checks[0].xxx")


def test_long_names_are_truncated_in_error_messages() -> None:
    problem = refusal({"y" * 60_000: 1})
    assert f"{'y' * 200}…" in (problem.errors or ())
    with pytest.raises(ProblemResponse) as twice:
        parse_json(b'{"%s": 1, "%s": 1}' % (b"y" * 60_000, b"y" * 60_000))
    assert len(twice.value.response().content) < 2_000


def test_names_that_are_equal_after_truncation_are_one_error() -> None:
    problem = refusal(SEARCH | {f"{'y' * 300}{at}": 1 for at in range(10_000)})
    assert problem.errors == {f"{'y' * 200}…": ["is not a field of a check."]}
    assert problem.detail.startswith("10,000 fields are invalid")
