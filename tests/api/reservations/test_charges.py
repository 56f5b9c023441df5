"""``POST /v1/charge``: a cost is debited without a check."""

from dataclasses import replace
from typing import Any

import pytest

from ratelimit_enforcer.engine import get_engine
from tests.api.reservations.conftest import RULES, Reserver
from tests.support.servers import Store

COST = "must be a whole number from 1 to 1,000,000,000."


def refused(response: Any) -> tuple[int, dict[str, list[str]]]:
    return response.status_code, response.json()["errors"]


@pytest.mark.usefixtures("shop")
def test_a_charge_is_debited_beyond_the_quota(caller: Reserver) -> None:
    response = caller.charge(400)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response.json() == {
        "client": "ann",
        "plan": "free",
        "endpoint": "model",
        "cost": 400,
        "overdrawn": 0,
        "ruleset": 1,
        "reason": None,
    }
    assert caller.left() == [600]
    assert caller.charge(10**9).json()["overdrawn"] == 10**9 - 600
    assert caller.left() == [0]
    assert caller.reserve(1).status_code == 429


@pytest.mark.usefixtures("shop")
def test_a_client_that_has_nothing_left_is_charged(caller: Reserver) -> None:
    caller.reserve(1_000)
    for _ in range(2):
        body = caller.charge(5).json()
        assert (body["cost"], body["overdrawn"], body["reason"]) == (5, 5, None)
    assert caller.charge(5, endpoint="closed").json()["cost"] == 5
    assert caller.left() == [0]


@pytest.mark.usefixtures("shop")
def test_method_path_and_attributes(caller: Reserver) -> None:
    body = {"client": "ann", "method": "POST", "path": "/api/orders", "cost": 3, "attributes": {"ip": "192.0.2.7"}}
    response = caller.post("/v1/charge", body)
    assert (response.json()["endpoint"], response.json()["cost"]) == ("orders", 3)
    assert caller.left(endpoint="orders") == [17]


def test_without_a_cost_the_endpoint_determines_it(caller: Reserver, shop: Store) -> None:
    assert caller.charge(None).json()["cost"] == 5
    assert caller.charge(None, endpoint="no-such-endpoint").json()["cost"] == 1
    assert caller.left() == [995]
    dearer = [replace(each, cost=7) if each.slug == "model" else each for each in RULES.endpoints]
    shop.publish(replace(RULES, endpoints=tuple(dearer)))
    assert get_engine().current is not None
    assert caller.charge(None).json()["cost"] == 7


@pytest.mark.usefixtures("shop")
def test_clients_that_are_not_charged(caller: Reserver) -> None:
    for client, reason in (("mallory", "blocked"), ("vip", "exempt")):
        response = caller.charge(9, client=client)
        assert response.status_code == 200
        assert (response.json()["cost"], response.json()["reason"]) == (0, reason)


@pytest.mark.usefixtures("shop")
def test_a_charge_takes_no_place(caller: Reserver) -> None:
    for _ in range(3):
        assert caller.charge(10, endpoint="stream").json()["cost"] == 10
    assert caller.left(endpoint="stream") == [2, 70]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("cost", [0, -1, 10**9 + 1, 10**300, 1.0, True, "5", None, [5]])
def test_invalid_costs(caller: Reserver, cost: Any) -> None:
    body = {"client": "ann", "endpoint": "model", "cost": cost}
    assert refused(caller.post("/v1/charge", body)) == (400, {"cost": [COST]})
    assert caller.left() == [1_000]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], {"body": ["must be a JSON object."]}),
        (
            {"ttl": 5},
            {
                "ttl": ["is not a field of a charge."],
                "client": ["is required."],
                "endpoint": ["is required, or “method” and “path” instead."],
            },
        ),
    ],
)
def test_invalid_bodies(caller: Reserver, body: Any, errors: Any) -> None:
    assert refused(caller.post("/v1/charge", body)) == (400, errors)
