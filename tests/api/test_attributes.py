"""Attributes of checks over HTTP: counted separately, compared with conditions, validated field by field."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from ratelimit_enforcer.domain.attributes import Match
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from tests.api.conftest import SHOP, Caller
from tests.support.servers import Store

WITH_ADDRESS = Match((("ip", ("*",)),))
POLICIES = (
    Policy("addresses", (Limit(2, 3_600),), partition=Partition.GLOBAL, attributes=("ip",), match=WITH_ADDRESS),
    Policy("large", (Limit(0, 3_600),), match=Match((("model", ("gpt-*",)),))),
    Policy("models", (Limit(1, 3_600),), attributes=("model",)),
)


@pytest.fixture(autouse=True)
def rules(shop: Store) -> None:
    shop.publish(replace(SHOP, policies=POLICIES))


def body(client: str = "ann", **attributes: Any) -> dict[str, Any]:
    return {"client": client, "endpoint": "search", "attributes": attributes}


def test_each_value_has_its_own_quota(caller: Caller) -> None:
    statuses = [caller.post("/v1/check", body(model=model)).status_code for model in ("a", "a", "b")]
    assert statuses == [200, 429, 200]
    assert caller.post("/v1/check", {"client": "ann", "endpoint": "search"}).status_code == 200


def test_an_address_is_counted_for_all_clients_in_any_spelling(caller: Caller) -> None:
    bodies = [
        body("ann", ip="192.0.2.7", model="a"),
        body("bob", ip="::ffff:192.0.2.7", model="a"),
        body("carl", ip="192.0.2.7:1234", model="a"),
    ]
    answers = [caller.post("/v1/check", each) for each in bodies]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [limit["policy"] for limit in answers[2].json()["limits"] if not limit["allowed"]] == ["addresses"]


def test_a_policy_applies_only_where_its_conditions_match(caller: Caller) -> None:
    assert caller.post("/v1/check", body(model="gpt-x")).status_code == 429
    assert caller.post("/v1/check", body(model="o1")).status_code == 200


def test_peek_and_batch_take_attributes_too(caller: Caller) -> None:
    results = caller.post("/v1/check/batch", {"checks": [body(model=model) for model in "aab"]}).json()["results"]
    assert [result["status"] for result in results] == [200, 429, 200]
    remaining = [caller.post("/v1/peek", body(model=model)).json()["remaining"] for model in "abc"]
    assert remaining == [0, 0, 1]


def test_usage_shows_the_limits_of_the_values_asked_for(caller: Caller) -> None:
    caller.post("/v1/check", body(model="a b"))

    def shown(query: str) -> dict[str, int]:
        headers = {"authorization": "Bearer checker"}
        answer = caller.client.get(f"/v1/usage?client=ann{query}", headers=headers)
        return {limit["policy"]: limit["remaining"] for limit in answer.json()["limits"]}

    assert shown("") == {}
    assert shown(f"&attributes[model]={quote('a b')}") == {"models": 0}
    assert shown(f"&{quote('attributes[model]')}=c&attributes[ip]=192.0.2.7") == {"models": 1}


@pytest.mark.parametrize(
    ("attributes", "errors"),
    [
        ([], {"attributes": ["must be a JSON object of names and values."]}),
        (None, {"attributes": ["must be a JSON object of names and values."]}),
        ({"ip": "localhost"}, {"attributes.ip": ["must be an IP address."]}),
        ({"model": 7}, {"attributes.model": ["must be a string."]}),
        ({"model": "x" * 257}, {"attributes.model": ["must have at most 256 characters."]}),
        ({"client": "x"}, {"attributes.client": ["is the client, and not an attribute."]}),
        (dict.fromkeys("abcdefghi", "x"), {"attributes": ["must be at most 8 attributes."]}),
    ],
)
def test_wrong_attributes_are_named_and_nothing_is_counted(
    caller: Caller, attributes: Any, errors: dict[str, list[str]]
) -> None:
    wrong = body() | {"attributes": attributes}
    for path, sent, prefix in (("check", wrong, ""), ("check/batch", {"checks": [body(), wrong]}, "checks[1].")):
        answer = caller.post(f"/v1/{path}", sent)
        assert answer.status_code == 400
        assert answer.json()["errors"] == {f"{prefix}{field}": messages for field, messages in errors.items()}
    assert caller.post("/v1/peek", body()).json()["remaining"] == 1


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("attributes[ip]=x", {"attributes[ip]": ["must be an IP address."]}),
        ("attributes[model]=a&attributes[model]=b", {"attributes[model]": ["must be given once."]}),
        ("attributes=a", {"attributes": ["is not a query parameter here."]}),
    ],
)
def test_an_invalid_query_is_named(caller: Caller, query: str, errors: dict[str, list[str]]) -> None:
    answer = caller.client.get(f"/v1/usage?client=a&{query}", headers={"authorization": "Bearer checker"})
    assert (answer.status_code, answer.json()["errors"]) == (400, errors)
