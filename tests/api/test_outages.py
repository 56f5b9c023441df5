"""The API with a store that is unavailable, emptied, or without a ruleset."""

import secrets
from collections.abc import Callable

import pytest
from pytest_django import Settings

from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import CLIENTS, SHOP, Caller, serve
from tests.api.test_check import CHECK_FIELDS
from tests.support.servers import Store
from tests.support.waiting import wait_until


@pytest.fixture
def lone_shop(redis_server: Callable[[], RedisServer], settings: Settings) -> tuple[RedisServer, Store]:
    """The shop on a separate Redis, which the test may kill."""
    server = redis_server()
    store = Store(server.url, f"test-{secrets.token_hex(4)}")
    serve(settings, store)
    store.publish(SHOP)
    store.load(*CLIENTS)
    return server, store


def test_a_check_without_the_store_is_a_503_with_the_fields_of_a_check(
    caller: Caller, lone_shop: tuple[RedisServer, Store]
) -> None:
    assert caller.search("ann").status_code == 200
    lone_shop[0].kill()

    response = caller.post("/v1/check", {"client": "ann", "endpoint": "orders"})

    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert response["Retry-After"] == "1"
    assert "RateLimit" not in response
    body = response.json()
    assert set(CHECK_FIELDS) < set(body)
    assert body["type"] == "/problems/store-unavailable"
    assert (body["allowed"], body["reason"], body["degraded"]) == (False, "store_unavailable", True)
    assert (body["limit"], body["retry_after"], body["limits"]) == (None, None, [])


@pytest.mark.parametrize("path", ["/v1/check?status=200", "/v1/peek"])
def test_with_status_200_an_outage_is_a_200(caller: Caller, lone_shop: tuple[RedisServer, Store], path: str) -> None:
    assert caller.search("ann").status_code == 200
    lone_shop[0].kill()

    response = caller.post(path, {"client": "ann", "endpoint": "orders"})

    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert (response.json()["allowed"], response.json()["degraded"]) == (False, True)
    assert "Retry-After" not in response


def test_an_unknown_token_without_the_store(caller: Caller, lone_shop: tuple[RedisServer, Store]) -> None:
    assert caller.search("ann").status_code == 200
    lone_shop[0].kill()

    response = caller.post("/v1/check", {"client": "ann", "endpoint": "search"}, token="unknown")

    assert (response.status_code, response.json()["type"]) == (503, "/problems/store-unavailable")
    assert response["Retry-After"] == "1"


def test_readiness_without_the_store(caller: Caller, lone_shop: tuple[RedisServer, Store]) -> None:
    assert readiness(caller) == ("ready", [])
    lone_shop[0].kill()
    assert readiness(caller) == ("degraded", ["store"])


def readiness(caller: Caller) -> tuple[str, list[str]]:
    response = caller.client.get("/readyz")
    assert response.status_code == 200
    return response.json()["status"], response.json()["missing"]


def test_readiness_reports_the_versions_of_process_and_store(
    caller: Caller, lone_shop: tuple[RedisServer, Store]
) -> None:
    server, store = lone_shop
    assert versions(caller) == (1, 1)
    store.redis.flushall()
    assert (readiness(caller), versions(caller)) == (("degraded", ["ruleset"]), (1, None))
    server.kill()
    assert versions(caller) == (1, None)


def versions(caller: Caller) -> tuple[int, int | None]:
    body = caller.client.get("/readyz").json()
    return body["ruleset"], body["store_ruleset"]


def test_readiness_contains_warnings_about_the_store(caller: Caller, lone_shop: tuple[RedisServer, Store]) -> None:
    wait_until(lambda: caller.client.get("/readyz").json()["warnings"] != [])
    assert any("Redis stores nothing on disk" in each for each in caller.client.get("/readyz").json()["warnings"])
    assert readiness(caller) == ("ready", [])


def test_readiness_before_the_first_ruleset(caller: Caller, store: Store) -> None:
    response = caller.client.get("/readyz")

    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert response.json()["type"] == "/problems/ruleset-missing"
    assert response.json()["missing"] == ["ruleset"]
    store.publish(SHOP)
    assert readiness(caller) == ("ready", [])


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("path", ["/v1/check", "/v1/check?status=200", "/v1/peek"])
def test_a_check_before_the_first_ruleset(caller: Caller, path: str) -> None:
    response = caller.search("ann", path)

    assert (response.status_code, response.json()["type"]) == (503, "/problems/ruleset-missing")
    assert response["Retry-After"] == "1"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_liveness_does_not_depend_on_the_store(caller: Caller, method: str) -> None:
    response = caller.client.generic(method, "/healthz", headers={"accept": "text/plain"})

    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert method == "HEAD" or response.json() == {"status": "ok"}
