"""Rules and calls for the tests of reservations over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from pytest_django import Settings

from ratelimit_enforcer.domain.enums import Algorithm, OnStoreFailure
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Endpoint, Policy
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import CLIENTS, SHOP, Caller, serve
from tests.support.servers import Store

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

RULES = replace(
    SHOP,
    endpoints=(*SHOP.endpoints, Endpoint("model", "Model", cost=5), Endpoint("stream", "Stream")),
    policies=(
        *SHOP.policies,
        Policy("model", (Limit(1_000, 3_600),), endpoint="model", on_store_failure=OnStoreFailure.DENY),
        Policy("stream", (Limit(2, 60, Algorithm.CONCURRENCY), Limit(100, 3_600)), endpoint="stream"),
    ),
)


@dataclass
class Reserver(Caller):
    """A program that reserves cost on the endpoint “model” for the client “ann”."""

    def reserve(self, cost: int | None = 600, *, headers: dict[str, str] | None = None, **fields: Any) -> "Response":
        body = {"client": "ann", "endpoint": "model"} | ({} if cost is None else {"cost": cost}) | fields
        return self.post("/v1/reservations", body, **(headers or {}))

    def reserved(self, cost: int | None = 600, **fields: Any) -> str:
        """The id of a new reservation."""
        response = self.reserve(cost, **fields)
        assert response.status_code == 200, response.content
        found: str = response.json()["reservation"]
        return found

    def settle(self, reservation: str, cost: int | None = None) -> "Response":
        return self.post(f"/v1/reservations/{reservation}/settle", {} if cost is None else {"cost": cost})

    def settle_all(self, *settlements: Any, **options: Any) -> "Response":
        return self.post("/v1/reservations/settle", {"settlements": list(settlements)}, **options)

    def delete(self, reservation: str, *, token: str = "checker") -> "Response":
        headers = {"authorization": f"Bearer {token}"}
        return self.client.generic("DELETE", f"/v1/reservations/{reservation}", headers=headers)

    def charge(self, cost: int | None = 600, *, headers: dict[str, str] | None = None, **fields: Any) -> "Response":
        body = {"client": "ann", "endpoint": "model"} | ({} if cost is None else {"cost": cost}) | fields
        return self.post("/v1/charge", body, **(headers or {}))

    def left(self, client: str = "ann", endpoint: str = "model") -> list[int]:
        """What remains of each limit of a client on an endpoint, by a peek."""
        body = self.post("/v1/peek", {"client": client, "endpoint": endpoint}).json()
        return [limit["remaining"] for limit in body["limits"]]


def with_key(key: str) -> dict[str, str]:
    return {"idempotency_key": key}


UNKNOWN_ID = "A" * 24
WRONG_IDS = ["x", "AAAA", UNKNOWN_ID, "-" * 24, "%C3%A9" * 24, "%00", "%ff", "A" * 4_000, "A%20A", "settle"]


@pytest.fixture
def shop(store: Store) -> Store:
    """A platform with the rules for reservations."""
    store.publish(RULES)
    store.load(*CLIENTS)
    return store


@pytest.fixture
def caller(http: Any) -> Reserver:
    return Reserver(http)


@pytest.fixture
def lone(redis_server: Callable[[], RedisServer], settings: Settings, caller: Reserver) -> RedisServer:
    """The platform on a separate Redis, which the test may kill."""
    server = redis_server()
    store = Store(server.url, "lone")
    serve(settings, store)
    store.publish(RULES)
    store.load(*CLIENTS)
    assert caller.reserve(1, client="vip").status_code == 200
    return server
