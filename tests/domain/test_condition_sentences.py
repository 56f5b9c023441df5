"""What a policy counts separately and its conditions, as sentences with an example."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.domain.condition_sentences import conditions_sentence, excluded_value, included_value
from ratelimit_enforcer.domain.attributes import Match, match_of, normalized, value_problem
from ratelimit_enforcer.domain.enums import Partition

CLIENT, GLOBAL = Partition.CLIENT, Partition.GLOBAL


def sentence(partition: Partition = CLIENT, attributes: tuple[str, ...] = (), **conditions: Any) -> str:
    return conditions_sentence(partition, attributes, match_of(conditions))


def test_partition_and_conditions_are_one_sentence_with_an_example() -> None:
    assert sentence(CLIENT, ("model",), model=["gpt-*"], client_tags=["wholesale"]) == (
        "Applies only to checks whose model is “gpt-*” and whose client has the tag wholesale; each client is counted "
        "separately for each model. Example: acme with model “gpt-x” and the tag wholesale is counted; acme without "
        "the attribute model is not."
    )


@pytest.mark.parametrize(
    ("partition", "attributes", "expected"),
    [
        (CLIENT, (), "No conditions; each client is counted separately."),
        (GLOBAL, (), "No conditions; all clients are counted together."),
        (
            CLIENT,
            ("model",),
            "No conditions; each client is counted separately for each model. Example: acme with model “x” and acme "
            "with model “y” are counted separately.",
        ),
        (
            CLIENT,
            ("ip", "model", "region"),
            "No conditions; each client is counted separately for each combination of ip, model and region. Example: "
            "acme with ip “192.0.2.7”, model “x” and region “x” and acme with ip “198.51.100.7”, model “x” and region "
            "“x” are counted separately.",
        ),
        (
            GLOBAL,
            ("ip",),
            "No conditions; all clients are counted together for each ip. Example: acme and globex with ip “192.0.2.7” "
            "are counted together.",
        ),
        (
            GLOBAL,
            ("ip", "model"),
            "No conditions; all clients are counted together for each combination of ip and model. Example: acme and "
            "globex with ip “192.0.2.7” and model “x” are counted together.",
        ),
    ],
)
def test_partitions_in_words(partition: Partition, attributes: tuple[str, ...], expected: str) -> None:
    assert sentence(partition, attributes) == expected


@pytest.mark.parametrize(
    ("conditions", "where", "example"),
    [
        (
            {"model": ["gpt-*", "o1"], "region": ["eu"], "plan": ["a"]},
            "whose model is “gpt-*” or “o1”, whose plan is “a” and whose region is “eu”",
            "acme with model “gpt-x”, plan “a” and region “eu” is counted; acme without the attribute model is not",
        ),
        (
            {"client_tags": ["trial", "eu"]},
            "whose client has the tags eu and trial",
            "acme with the tags eu and trial is counted; acme without the tag eu is not",
        ),
        (
            {"model": ["", "gpt-*"]},
            "whose model is missing or “gpt-*”",
            "acme without the attribute model is counted; acme with model “other” is not",
        ),
        (
            {"model": [""], "region": ["eu"]},
            "whose model is missing and whose region is “eu”",
            "acme with region “eu” and without the attribute model is counted; acme with model “other” is not",
        ),
        ({"model": ["", "*"]}, "whose model is missing or “*”", "acme without the attribute model is counted"),
        (
            {"model": ["", "*"], "client_tags": ["eu"]},
            "whose model is missing or “*” and whose client has the tag eu",
            "acme with the tag eu and without the attribute model is counted; acme without the tag eu is not",
        ),
        (
            {"ip": ["10.*", "192.0.2.1"]},
            "whose ip is “10.*” or “192.0.2.1”",
            "acme with ip “10.0.0.7” is counted; acme without the attribute ip is not",
        ),
        (
            {"ip": ["", "192.0.2.*"]},
            "whose ip is missing or “192.0.2.*”",
            "acme without the attribute ip is counted; acme with ip “198.51.100.7” is not",
        ),
    ],
)
def test_conditions_in_words(conditions: dict[str, list[str]], where: str, example: str) -> None:
    expected = f"Applies only to checks {where}; each client is counted separately. Example: {example}."
    assert sentence(**conditions) == expected


@pytest.mark.parametrize("pattern", ["10.300.*", "2001:DB8::7", "x"])
def test_a_condition_that_no_address_matches_has_no_example(pattern: str) -> None:
    assert sentence(ip=[pattern]) == (
        f"Applies only to checks whose ip is “{pattern}”; each client is counted separately."
    )


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("*", "192.0.2.7"),
        ("192.0.2.*", "192.0.2.7"),
        ("10.*", "10.0.0.7"),
        ("10.*.1.*", "10.7.1.7"),
        ("2001:db8::*", "2001:db8::7"),
        ("2001:db8:*", "2001:db8::7"),
        ("*.7", "0.0.7.7"),
        ("10.300.*", None),
    ],
)
def test_addresses_for_examples(pattern: str, value: str | None) -> None:
    assert included_value("ip", (pattern,)) == value


PATTERNS = st.lists(st.text(st.sampled_from("*ab-.:17"), max_size=6), min_size=1, max_size=3).map(tuple)


@given(name=st.sampled_from(["model", "ip"]), patterns=PATTERNS)
def test_examples_are_true(name: str, patterns: tuple[str, ...]) -> None:
    match = Match(((name, patterns),))
    for value, matches in ((included_value(name, patterns), True), (excluded_value(name, patterns), False)):
        if value is not None:
            assert value_problem(name, value) is None
            assert match.includes(normalized({name: value}), ()) is matches
