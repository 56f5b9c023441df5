"""A platform for the API's tests: the real engine on a real Redis, in a separate namespace.

These tests have no access to the database, which pytest-django enforces: a check runs no SQL query.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from pytest_django import Settings

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OnStoreFailure, Scope
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset
from ratelimit_enforcer.engine import get_engine
from tests.support.gateway import GatewayClient, GatewayInThread
from tests.support.servers import LONG_DEADLINE, Store

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response


def token(name: str, *scopes: Scope) -> ApiToken:
    """A token whose secret is its name."""
    return ApiToken(name, sha256(name.encode()).hexdigest(), frozenset(scopes))


SHOP = Ruleset(
    plans=(Plan("free", "Free"), Plan("pro", "Pro")),
    default_plan="free",
    endpoints=(
        Endpoint("closed", "Closed"),
        Endpoint("orders", "Orders", (Route.parse("POST /api/orders"),), cost=5),
        Endpoint("search", "Search", (Route.parse("GET /api/search"),)),
    ),
    policies=(
        Policy("closed", (Limit(0, 60),), endpoint="closed"),
        Policy(
            "free-orders",
            (Limit(10, 3_600, Algorithm.TOKEN_BUCKET, 20),),
            plan="free",
            endpoint="orders",
            on_store_failure=OnStoreFailure.DENY,
        ),
        Policy("free-search", (Limit(3, 3_600),), plan="free", endpoint="search"),
        Policy("trial", (Limit(1, 3_600),), plan="free", endpoint="search", mode=Mode.SHADOW),
    ),
    tokens=(token("checker", Scope.CHECK), token("manager", Scope.CLIENTS)),
)

CLIENTS = (
    ClientRecord("acme", 1, plan="pro"),
    ClientRecord("mallory", 2, status=ClientStatus.BLOCKED),
    ClientRecord("vip", 3, status=ClientStatus.EXEMPT),
)


@dataclass
class Caller:
    """A program that calls the API over HTTP."""

    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True, raise_request_exception=False))

    def send(self, path: str, body: bytes | str, *, token: str | None = "checker", **headers: str) -> "Response":
        """Posts a raw body. Names of headers are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent.setdefault("authorization", f"Bearer {token}")
        content_type = sent.pop("content-type", "application/json")
        # Unlike other clients, Django's omits this header if the body is empty.
        return self.client.generic("POST", path, body, headers=sent, CONTENT_TYPE=content_type)

    def post(self, path: str, body: Any, **options: Any) -> "Response":
        return self.send(path, json.dumps(body), **options)

    def search(self, client: str, path: str = "/v1/check", **fields: Any) -> "Response":
        """Sends a check of one request to the endpoint “search”."""
        return self.post(path, {"client": client, "endpoint": "search"} | fields)

    def remaining(self, client: str) -> int:
        """The client's remaining quota on “search”, by a peek."""
        left: int = self.search(client, "/v1/peek").json()["remaining"]
        return left


@pytest.fixture
def store(redis_url: str, settings: Settings) -> Store:
    """An empty platform, with this process as a server."""
    store = Store(redis_url, f"test-{secrets.token_hex(4)}")
    serve(settings, store)
    return store


@pytest.fixture
def shop(store: Store) -> Store:
    """A platform with the rules and clients of a shop."""
    store.publish(SHOP)
    store.load(*CLIENTS)
    return store


BOTH_INTERFACES = {
    "test_any_body", "test_attributes", "test_batch", "test_blocks", "test_check", "test_damaged_data", "test_input",
    "test_outages", "test_tokens",
}  # fmt: skip
"""Modules whose requests are also sent to a gateway; those of tests/api/reservations and
tests/api/forward_auth too."""

GATEWAY_PATHS = (
    *("/v1/check", "/v1/peek", "/v1/reservations", "/v1/charge", "/v1/forward-auth/", "/healthz", "/readyz"),
    "/metrics",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder, _, module = metafunc.module.__name__.rpartition(".")
    if "interface" in metafunc.fixturenames and (
        module in BOTH_INTERFACES or folder.endswith((".reservations", ".forward_auth"))
    ):
        metafunc.parametrize("interface", ["web", "gateway"])


class BothClient:
    """Sends the requests that a gateway answers to one, and others to Django."""

    def __init__(self) -> None:
        self._django = Client(enforce_csrf_checks=True, raise_request_exception=False)
        self._lock = Lock()
        self._gateways: dict[int, GatewayInThread] = {}

    def generic(self, method: str, path: str, *arguments: Any, **options: Any) -> Any:
        return self._client(path).generic(method, path, *arguments, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self._client(path).get(path, **options)

    def post(self, path: str, *arguments: Any, **options: Any) -> Any:
        return self._client(path).post(path, *arguments, **options)

    def _client(self, path: str) -> Any:
        if not path.startswith(GATEWAY_PATHS):
            return self._django
        engine = get_engine()
        with self._lock:
            if id(engine) not in self._gateways:
                self._gateways[id(engine)] = GatewayInThread(engine)
            return GatewayClient(self._gateways[id(engine)])

    def stop(self) -> None:
        for gateway in self._gateways.values():
            gateway.stop()


@pytest.fixture
def interface() -> str:
    return "web"


@pytest.fixture
def http(interface: str) -> Iterator[Any]:
    """What sends requests: to Django, or to a gateway."""
    if interface == "web":
        yield Client(enforce_csrf_checks=True, raise_request_exception=False)
        return
    both = BothClient()
    yield both
    both.stop()


@pytest.fixture
def caller(http: Any) -> Caller:
    return Caller(http)


def serve(settings: Settings, store: Store) -> None:
    """Configures this process as a server of this platform."""
    settings.RATELIMIT_PLATFORM = {
        "REDIS": store.url,
        "NAMESPACE": store.keys.namespace,
        "CHECK_DEADLINE": LONG_DEADLINE,
    }
