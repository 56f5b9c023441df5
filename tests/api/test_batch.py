"""``POST /v1/check/batch``: checks are decided in order, separately, and in few round trips."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import CLIENTS, SHOP, Caller, serve
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store

Check = dict[str, Any]


def search(client: str, **fields: Any) -> Check:
    return {"client": client, "endpoint": "search", **fields}


def results(caller: Caller, *checks: Check) -> list[dict[str, Any]]:
    response = caller.post("/v1/check/batch", {"checks": list(checks)})
    assert response.status_code == 200, response.content
    decided: list[dict[str, Any]] = response.json()["results"]
    return decided


@pytest.mark.usefixtures("shop")
def test_checks_are_decided_separately_and_in_order(caller: Caller) -> None:
    decided = results(caller, *[search("ann")] * 4, search("mallory"), search("vip"), search("bob", cost=2))
    assert [each["status"] for each in decided] == [200, 200, 200, 429, 403, 200, 200]
    assert [each["remaining"] for each in decided] == [2, 1, 0, 0, None, None, 1]
    assert [each["reason"] for each in decided] == [None, None, None, "limit", "blocked", "exempt", None]
    assert caller.remaining("ann") == 0


@pytest.mark.usefixtures("shop")
def test_a_result_has_the_fields_of_a_single_check(caller: Caller) -> None:
    (result,) = results(caller, search("ann"))
    alone = caller.search("bob").json() | {"client": "ann", "status": 200}
    timeless = {"reset_after", "next_capacity_after"}
    assert {name: result[name] for name in result if name not in timeless | {"limits"}} == {
        name: alone[name] for name in alone if name not in timeless | {"limits"}
    }


@pytest.mark.usefixtures("shop")
def test_an_item_may_have_method_and_path(caller: Caller) -> None:
    (result,) = results(caller, {"client": "ann", "method": "GET", "path": "/api/search?q=1"})
    assert result["endpoint"] == "search"


def test_a_thousand_checks_take_ten_script_calls(caller: Caller, shop: Store) -> None:
    caller.search("warm-up")
    wait_for_heartbeat()
    shop.redis.config_resetstat()
    decided = results(caller, *[search(f"client {number % 300}") for number in range(1_000)])
    assert [each["status"] for each in decided].count(200) == 900
    assert shop.redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 10


def test_rules_changed_between_two_batches_apply_to_the_whole_second_batch(caller: Caller, shop: Store) -> None:
    results(caller, search("ann"), search("bob"))
    shop.publish(SHOP)
    decided = results(caller, *[search(f"client {number}") for number in range(150)], search("ann"))
    assert {each["ruleset"] for each in decided} == {2}
    assert decided[-1]["remaining"] == 1


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], {"checks": ["must be a list of 1 to 1,000 checks."]}),
        ({}, {"checks": ["must be a list of 1 to 1,000 checks."]}),
        ({"checks": {}}, {"checks": ["must be a list of 1 to 1,000 checks."]}),
        ({"checks": []}, {"checks": ["must have 1 to 1,000 checks, not 0."]}),
        ({"checks": [search("a")] * 1_001}, {"checks": ["must have 1 to 1,000 checks, not 1,001."]}),
        ({"checks": [search("a"), 5]}, {"checks[1]": ["must be a JSON object."]}),
        ({"checks": [search("a"), search("")]}, {"checks[1].client": ["must have 1 to 256 characters."]}),
        (
            {"checks": [search("a", cost=0), {"client": "b"}], "more": 1},
            {
                "more": ["is not a field of a batch."],
                "checks[0].cost": ["must be a whole number from 1 to 1,000,000."],
                "checks[1].endpoint": ["is required, or “method” and “path” instead."],
            },
        ),
    ],
)
def test_an_invalid_item_is_reported_before_anything_is_consumed(
    caller: Caller, shop: Store, body: Any, errors: dict[str, list[str]]
) -> None:
    caller.search("a")
    response = caller.post("/v1/check/batch", body)
    assert (response.status_code, response.json()["errors"]) == (400, errors)
    assert caller.remaining("a") == 2


def test_without_the_store_the_fallback_of_each_policy_decides(
    caller: Caller, redis_server: Callable[..., RedisServer], settings: Settings
) -> None:
    server = redis_server()
    store = Store(server.url, "lone")
    serve(settings, store)
    store.publish(SHOP)
    store.load(*CLIENTS)
    for client in ("ann", "mallory", "vip"):
        caller.search(client)
    server.kill()
    decided = results(caller, search("ann"), {"client": "ann", "endpoint": "orders"}, search("mallory"), search("vip"))
    assert [each["status"] for each in decided] == [200, 503, 403, 200]
    assert all(each["degraded"] for each in decided)


@pytest.mark.usefixtures("shop")
def test_a_token_without_the_scope(caller: Caller) -> None:
    body = {"checks": [search("ann")]}
    assert caller.post("/v1/check/batch", body, token="manager").status_code == 403
    assert caller.post("/v1/check/batch", body, token=None).status_code == 401
    assert caller.client.get("/v1/check/batch").status_code == 405
