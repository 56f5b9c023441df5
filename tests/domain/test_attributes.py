"""Attributes: valid names and values, patterns, and what identifies a counter."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.attributes import (
    Match,
    conditions_of,
    counted_values,
    match_of,
    normalized,
    problems,
    values_digest,
)
from ratelimit_enforcer.domain.validation import conditions_problems, partition_problem


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"Model": "a"}, ("Model", "must be 1 to 64 lowercase letters, digits and hyphens.")),
        ({"": "a"}, ("", "must be 1 to 64 lowercase letters, digits and hyphens.")),
        ({"a" * 65: "a"}, ("a" * 65, "must be 1 to 64 lowercase letters, digits and hyphens.")),
        ({"client": "a"}, ("client", "is the client, and not an attribute.")),
        ({"model": 7}, ("model", "must be a string.")),
        ({"model": None}, ("model", "must be a string.")),
        ({"model": "a" * 257}, ("model", "must have at most 256 characters.")),
        ({"model": "\ud800"}, ("model", "must not contain lone surrogates.")),
        ({"ip": "example.com"}, ("ip", "must be an IP address.")),
        ({f"a{at}": "x" for at in range(9)}, ("", "must be at most 8 attributes.")),
    ],
)
def test_a_wrong_attribute_is_named(given: dict[str, Any], problem: tuple[str, str]) -> None:
    assert list(problems(given)) == [problem]


def test_valid_attributes_have_no_problems() -> None:
    given = {"ip": "", "model": "a" * 256, "x": "control\x00", "a" * 64: "ä"} | {f"a{at}": "" for at in range(4)}
    assert list(problems(given)) == []


@pytest.mark.parametrize(
    ("written", "canonical", "counted"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:443", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("[2001:DB8:0:1::7]:443", "2001:db8:0:1::7", "2001:db8:0:1::/64"),
    ],
)
def test_an_address_is_canonical_and_counted_by_network(written: str, canonical: str, counted: str) -> None:
    attributes = normalized({"ip": written, "model": ""})
    assert attributes == {"ip": canonical}
    assert counted_values(("ip", "model"), attributes) == (counted, "")


@given(st.lists(st.lists(st.text("ab\0", max_size=3), min_size=2, max_size=2), min_size=2, max_size=2))
def test_different_values_have_different_digests(pair: list[list[str]]) -> None:
    one, other = (dict(zip("xy", values, strict=True)) for values in pair)
    assert (values_digest("xy", one) == values_digest("xy", other)) is (one == other)


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("gpt-x", "gpt-x", True),
        ("gpt-x", "gpt-xx", False),
        ("gpt-*", "gpt-", True),
        ("gpt-*", "my-gpt-x", False),
        ("*-x", "gpt-x", True),
        ("*-x", "gpt-xy", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*", "a\nb", True),
        ("*", "", False),
        ("", "", True),
        ("", "a", False),
        ("a.c", "abc", False),
        ("GPT", "gpt", False),
        ("ab*ba", "aba", False),
    ],
)
def test_a_pattern_matches_the_whole_value(pattern: str, value: str, matches: bool) -> None:
    attributes = {"model": value} if value else {}
    assert Match((("model", (pattern,)),)).includes(attributes, ()) is matches


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=10))
def test_patterns_match_as_regular_expressions_do(pattern: str, value: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None
    assert Match((("model", (pattern,)),)).includes({"model": value}, ()) is expected


def test_a_pattern_with_many_stars_takes_linear_time() -> None:
    """With backtracking it would not end."""
    assert not Match((("model", ("*a" * 60 + "b",)),)).includes({"model": "a" * 256}, ())


def test_every_condition_and_tag_must_match() -> None:
    match = Match((("model", ("a", "b")), ("region", ("eu",))), ("vip", "west"))
    assert match.includes({"model": "b", "region": "eu"}, ("east", "vip", "west"))
    assert match.unmatched({"model": "c", "region": "eu"}, ("vip", "west")) == "model is “a” or “b”"
    assert match.unmatched({"model": "a"}, ("vip", "west")) == "region is “eu”"
    assert match.unmatched({"model": "a", "region": "eu"}, ("vip",)) == "the client has the tag west"
    assert match.unmatched({"region": "us"}, ("vip",)) == (
        "model is “a” or “b” and region is “eu” and the client has the tag west"
    )
    assert Match().includes({}, ())


def test_conditions_come_back_from_the_config_file() -> None:
    conditions = {"region": ["eu", ""], "client_tags": ["vip"], "model": ["gpt-*"]}
    match = match_of(conditions)
    assert conditions_of(match) == conditions
    assert str(match) == "model is “gpt-*”; region is “eu” or missing; the client has the tag vip"


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ([], ("", "must be a mapping of attributes to lists of patterns.")),
        ({"model": "a"}, ("model", "must be a list of texts.")),
        ({"model": [7]}, ("model", "must be a list of texts.")),
        ({"model": []}, ("model", "must have 1 to 100 patterns.")),
        ({"model": ["a" * 257]}, ("model", "each pattern must have at most 256 characters.")),
        ({"Model": ["a"]}, ("Model", "must be 1 to 64 lowercase letters, digits and hyphens.")),
        ({"client_tags": ["vip", "vip"]}, ("client_tags", "must not contain a tag twice.")),
        ({f"a{at}": ["x"] for at in range(9)}, ("", "must have conditions on at most 8 attributes.")),
    ],
)
def test_wrong_conditions_are_named(conditions: Any, problem: tuple[str, str]) -> None:
    assert list(conditions_problems(conditions)) == [problem]


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        (("ip", "model"), None),
        (("ip", "ip"), "must not name an attribute twice."),
        (("Model",), "“Model” must be 1 to 64 lowercase letters, digits and hyphens."),
        (tuple(f"a{at}" for at in range(9)), "must name at most 8 attributes."),
    ],
)
def test_a_wrong_partition_is_rejected(attributes: tuple[str, ...], problem: str | None) -> None:
    assert partition_problem(attributes) == problem
