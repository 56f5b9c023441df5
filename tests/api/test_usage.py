"""``GET /v1/usage``: the state of every counter of a client."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from tests.api.conftest import SHOP, Caller
from tests.support.servers import Store


def usage(caller: Caller, client: str, token: str = "checker") -> Any:
    return caller.client.get(f"/v1/usage?client={quote(client)}", headers={"authorization": f"Bearer {token}"})


@pytest.mark.usefixtures("shop")
def test_every_counter_of_the_client_on_every_endpoint(caller: Caller) -> None:
    caller.search("ann")
    caller.post("/v1/check", {"client": "ann", "endpoint": "orders"})
    body = usage(caller, "ann").json()
    assert (body["client"], body["plan"], body["status"], body["degraded"]) == ("ann", "free", "active", False)
    standing = {(limit["endpoint"], limit["name"]): limit["remaining"] for limit in body["limits"]}
    assert standing == {
        ("closed", "closed:60s"): 0,
        ("orders", "free-orders:3600s-bucket"): 15,
        ("search", "free-search:3600s"): 2,
        ("search", "trial:3600s"): 0,
    }
    assert usage(caller, "ann").json()["limits"][2]["remaining"] == 2


@pytest.mark.usefixtures("shop")
def test_a_client_on_another_plan_and_a_blocked_one(caller: Caller) -> None:
    acme, mallory = usage(caller, "acme").json(), usage(caller, "mallory").json()
    assert (acme["plan"], [limit["name"] for limit in acme["limits"]]) == ("pro", ["closed:60s"])
    assert (mallory["status"], mallory["limits"][1]["remaining"]) == ("blocked", 20)


@pytest.mark.usefixtures("shop")
def test_a_key_may_contain_any_characters(caller: Caller) -> None:
    assert usage(caller, "a/b?c=d&e ü").json()["client"] == "a/b?c=d&e ü"


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("", {"client": ["must be given exactly once."]}),
        ("?client=a&client=b", {"client": ["must be given exactly once."]}),
        ("?client=", {"client": ["must have 1 to 256 characters."]}),
        ("?client=%00", {"client": ["must not contain control characters."]}),
        ("?client=a&plan=b", {"plan": ["is not a query parameter here."]}),
    ],
)
def test_an_invalid_query_of_usage(caller: Caller, query: str, errors: dict[str, list[str]]) -> None:
    response = caller.client.get(f"/v1/usage{query}", headers={"authorization": "Bearer checker"})
    assert (response.status_code, response.json()["errors"]) == (400, errors)


@pytest.mark.usefixtures("shop")
def test_a_token_is_needed(caller: Caller) -> None:
    assert usage(caller, "ann", "manager").status_code == 403
    assert caller.client.get("/v1/usage?client=ann").status_code == 401


def test_a_client_may_have_hundreds_of_policies(caller: Caller, shop: Store) -> None:
    many = tuple(Policy(f"policy-{number:03}", (Limit(9, 60),)) for number in range(450))
    shop.publish(replace(SHOP, policies=many))
    assert caller.search("acme").json()["remaining"] == 8
    limits = usage(caller, "acme").json()["limits"]
    assert [limit["policy"] for limit in limits] == [policy.slug for policy in many]
    assert {limit["remaining"] for limit in limits} == {8}
