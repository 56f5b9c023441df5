"""A platform for the API's tests: the real engine on a real Redis, in a namespace of its own.

No test here may touch the database, which pytest-django enforces: a check makes no SQL query.
"""

import secrets
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import SettingsWrapper
from redis import Redis

from limits.domain.client import ClientRecord
from limits.domain.limit import Limit
from limits.domain.routes import Route
from limits.domain.ruleset import ApiToken, Endpoint, Plan, Policy, Ruleset, Version, digest_of
from limits.domain.words import Algorithm, ClientStatus, Mode, Scope
from limits.store.clients import ClientWriter
from limits.store.keys import Keys
from limits.store.rules import RulesetWriter


def token(name: str, *scopes: Scope) -> ApiToken:
    """A token whose secret is its name."""
    return ApiToken(name, sha256(name.encode()).hexdigest(), frozenset(scopes))


CHECKER = token("checker", Scope.CHECK)
MANAGER = token("manager", Scope.MANAGE)

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
        Policy("free-orders", (Limit(10, 60, Algorithm.TOKEN_BUCKET, 20),), plan="free", endpoint="orders"),
        Policy("free-search", (Limit(3, 60),), plan="free", endpoint="search"),
        Policy("trial", (Limit(1, 3_600),), plan="free", endpoint="search", mode=Mode.SHADOW),
    ),
    tokens=(CHECKER, MANAGER),
)

CLIENTS = (
    ClientRecord("acme", 1, plan="pro"),
    ClientRecord("mallory", 2, status=ClientStatus.BLOCKED),
    ClientRecord("vip", 3, status=ClientStatus.EXEMPT),
)


class Platform:
    """What the tests do to one platform: publish rules, and ask over HTTP."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        self._sequence = 0

    def publish(self, ruleset: Ruleset) -> None:
        self._sequence += 1
        data = ruleset.to_bytes()
        version = Version("test", self._sequence, digest_of(data))
        RulesetWriter(self.redis, self.keys).publish(version, data, lambda current: True)

    def load_clients(self, *records: ClientRecord) -> None:
        assert ClientWriter(self.redis, self.keys).load_all(records)

    def empty(self) -> None:
        """Takes from the store everything that this platform has in it."""
        self.redis.delete(*self.redis.keys(f"{self.keys.namespace}:*"))

    def send(self, path: str, body: bytes, *, token: str | None = "checker", **headers: str) -> HttpResponse:
        """Posts bytes as they are."""
        sent = {"content-type": "application/json"} | headers
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        return self.client.generic("POST", path, body, sent.pop("content-type"), headers=sent)  # type: ignore[return-value]

    def post(self, path: str, body: dict[str, Any], **options: Any) -> HttpResponse:
        from json import dumps

        return self.send(path, dumps(body).encode(), **options)

    def search(self, client: str, path: str = "/v1/check", **fields: Any) -> HttpResponse:
        """Asks for one request to the endpoint “search”."""
        return self.post(path, {"client": client, "endpoint": "search"} | fields)

    def remaining(self, client: str) -> int:
        """What the client has left on “search”, looked up without consuming."""
        left: int = self.search(client, "/v1/peek").json()["remaining"]
        return left


@pytest.fixture
def make_platform(redis_url: str, settings: SettingsWrapper) -> Iterator[Callable[[], Platform]]:
    made: list[Platform] = []

    def make() -> Platform:
        keys = Keys(f"test-{secrets.token_hex(4)}")
        settings.RATELIMIT_PLATFORM = {"REDIS": redis_url, "NAMESPACE": keys.namespace, "CHECK_DEADLINE": 5}
        made.append(Platform(Redis.from_url(redis_url), keys))
        return made[-1]

    yield make
    for platform in made:
        platform.empty()
        platform.redis.close()


@pytest.fixture
def bare_platform(make_platform: Callable[[], Platform]) -> Platform:
    """A platform that nothing was published on."""
    return make_platform()


@pytest.fixture
def platform(bare_platform: Platform) -> Platform:
    """A platform with the shop's rules and clients."""
    bare_platform.publish(SHOP)
    bare_platform.load_clients(*CLIENTS)
    return bare_platform
