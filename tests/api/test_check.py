"""``POST /v1/check`` and ``/v1/peek``: decisions as HTTP responses."""

from typing import Any

import http_sf
import pytest
from pytest_django import Settings
from redis import Redis

from ratelimit_enforcer.domain.ruleset import Ruleset
from tests.api.conftest import SHOP, Caller
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store

pytestmark = pytest.mark.usefixtures("shop")

CHECK_FIELDS = [
    "allowed",
    "reason",
    "client",
    "plan",
    "endpoint",
    "cost",
    "reservation",
    "expires_at",
    "limit",
    "remaining",
    "reset_after",
    "next_capacity_after",
    "retry_after",
    "degraded",
    "ruleset",
    "limits",
]
LIMIT_FIELDS = [
    "name",
    "policy",
    "client",
    "algorithm",
    "mode",
    "quota",
    "window",
    "burst",
    "allowed",
    "remaining",
    "reset_after",
    "next_capacity_after",
    "retry_after",
]
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def test_an_admitted_check_has_every_field_in_order(caller: Caller) -> None:
    response = caller.search("ann")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert list(body) == CHECK_FIELDS
    assert [list(limit) for limit in body["limits"]] == [LIMIT_FIELDS, LIMIT_FIELDS]
    figures = body["reset_after"], body["next_capacity_after"]
    assert body == {
        "allowed": True,
        "reason": None,
        "client": "ann",
        "plan": "free",
        "endpoint": "search",
        "cost": 1,
        "reservation": None,
        "expires_at": None,
        "limit": 3,
        "remaining": 2,
        "reset_after": 3600.0,
        "next_capacity_after": 3600.0,
        "retry_after": None,
        "degraded": False,
        "ruleset": 1,
        "limits": body["limits"],
    }
    assert all(type(figure) is float for figure in figures)


def test_each_limit_reports_its_state(caller: Caller) -> None:
    caller.search("ann")

    enforced, shadow = caller.search("ann").json()["limits"]

    assert (enforced["name"], enforced["mode"], enforced["allowed"]) == ("free-search:3600s", "enforce", True)
    assert (shadow["name"], shadow["mode"], shadow["allowed"]) == ("trial:3600s", "shadow", False)
    assert shadow["remaining"] == 0
    assert 3590 < shadow["retry_after"] <= 3600


def test_a_token_bucket_shows_its_burst(caller: Caller) -> None:
    body = caller.post("/v1/check", {"client": "ann", "method": "POST", "path": "/api/orders"}).json()

    assert (body["endpoint"], body["cost"], body["limit"], body["remaining"]) == ("orders", 5, 20, 15)
    assert (body["limits"][0]["quota"], body["limits"][0]["burst"]) == (10, 20)


def test_a_denied_check_is_a_problem_document_with_the_fields_of_a_check(caller: Caller) -> None:
    caller.search("ann", cost=3)

    response = caller.search("ann")

    assert response.status_code == 429
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert list(body) == ["type", "title", "status", "detail", *CHECK_FIELDS, "violated-policies"]
    assert body["type"] == QUOTA_EXCEEDED
    assert (body["status"], body["allowed"], body["reason"], body["remaining"]) == (429, False, "limit", 0)
    assert body["violated-policies"] == ["free-search:3600s"]
    assert body["retry_after"] == body["limits"][0]["retry_after"]
    assert body["retry_after"] <= int(response["Retry-After"]) < body["retry_after"] + 1


def test_a_cost_above_the_quota_has_no_retry_after(caller: Caller) -> None:
    response = caller.search("ann", cost=4)

    assert response.status_code == 429
    assert "Retry-After" not in response
    assert (response.json()["reason"], response.json()["retry_after"]) == ("cost_exceeds_quota", None)
    assert caller.remaining("ann") == 3


def test_a_quota_of_zero_denies_every_client(caller: Caller) -> None:
    response = caller.post("/v1/check", {"client": "ann", "endpoint": "closed"})

    assert (response.status_code, response.json()["limit"]) == (429, 0)
    assert "Retry-After" not in response
    assert response["RateLimit"] == '"closed:60s";r=0'


def test_a_blocked_client_gets_403(caller: Caller) -> None:
    response = caller.search("mallory")

    assert response.status_code == 403
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["reason"], body["limits"]) == ("/problems/client-blocked", "blocked", [])
    assert set(CHECK_FIELDS) < set(body)
    assert "violated-policies" not in body
    assert "RateLimit" not in response


def test_no_limit_applies_to_an_exempt_client(caller: Caller) -> None:
    response = caller.search("vip", cost=1_000)

    assert response.status_code == 200
    assert (response.json()["reason"], response.json()["limit"]) == ("exempt", None)
    assert "RateLimit" not in response


def test_an_unknown_endpoint_is_no_error(caller: Caller) -> None:
    response = caller.post("/v1/check", {"client": "ann", "endpoint": "no-such-endpoint"})

    assert response.status_code == 200
    assert (response.json()["endpoint"], response.json()["limits"]) == (None, [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "get"])
def test_method_and_path_find_the_endpoint(caller: Caller, method: str) -> None:
    body = caller.post("/v1/check", {"client": "ann", "method": method, "path": "/api/search?q=shoes"}).json()

    assert body["endpoint"] == "search"


@pytest.mark.parametrize(
    ("client", "cost", "reason"), [("mallory", 1, "blocked"), ("ann", 4, "cost_exceeds_quota"), ("vip", 1, "exempt")]
)
def test_with_status_200_every_decision_is_a_200(caller: Caller, client: str, cost: int, reason: str) -> None:
    response = caller.search(client, "/v1/check?status=200", cost=cost)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert list(response.json()) == CHECK_FIELDS
    assert response.json()["reason"] == reason
    assert "Retry-After" not in response


def test_with_status_200_a_check_consumes(caller: Caller) -> None:
    caller.search("ann", "/v1/check?status=200", cost=2)

    assert caller.remaining("ann") == 1


def test_a_peek_consumes_nothing_and_is_always_200(caller: Caller) -> None:
    for _ in range(5):
        assert caller.search("ann", "/v1/peek", cost=3).json()["allowed"]
    caller.search("ann", cost=3)

    response = caller.search("ann", "/v1/peek")

    assert response.status_code == 200
    assert (response.json()["allowed"], response.json()["reason"]) == (False, "limit")
    assert list(response.json()) == CHECK_FIELDS
    assert http_sf.parse(response["RateLimit"].encode(), tltype="list")


def test_headers_name_each_enforced_limit_once(caller: Caller) -> None:
    response = caller.search("ann")

    assert response["RateLimit-Policy"] == '"free-search:3600s";q=3;w=3600'
    assert response["RateLimit"] == '"free-search:3600s";r=2;t=3600'
    assert "X-RateLimit-Limit" not in response


def test_a_setting_enables_the_legacy_headers(caller: Caller, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"LEGACY_HEADERS": "instead"}

    response = caller.search("ann")

    legacy = {name: response[name] for name in response.headers if name.startswith("X-RateLimit")}
    assert legacy == {"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "3600"}
    assert "RateLimit" not in response


def test_a_check_is_one_redis_command(caller: Caller, shop: Store, redis_url: str) -> None:
    caller.search("ann")
    wait_for_heartbeat()

    with Redis.from_url(redis_url).monitor() as monitor:
        caller.search("ann")
        shop.redis.echo("end of the check")
        seen = _until(monitor, "end of the check")

    assert [command["command"].split()[0] for command in seen if command["client_type"] != "lua"] == ["EVALSHA"]


def _until(monitor: Any, end: str) -> list[dict[str, Any]]:
    commands = []
    while end not in (command := monitor.next_command())["command"]:
        commands.append(command)
    return commands


def test_new_rules_apply_to_the_next_check(caller: Caller, shop: Store) -> None:
    assert caller.search("ann").json()["ruleset"] == 1
    shop.publish(Ruleset(SHOP.plans, SHOP.default_plan, SHOP.endpoints, tokens=SHOP.tokens))

    body = caller.search("ann").json()

    assert (body["ruleset"], body["limits"]) == (2, [])
