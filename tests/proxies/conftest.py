"""A real platform and a real application, with a real proxy in front of both."""

from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import urlsplit

import pytest

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import ClientStatus, OnStoreFailure, Scope
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset
from tests.proxies.application import Application, running_application
from tests.proxies.proxies import PROXIES, TOKEN, running_proxy
from tests.support.gateway_process import running_gateways
from tests.support.servers import Store
from tests.support.web import WebServer, running_servers

NAMESPACE = "proxies"
KEY, BLOCKED = "sk_live_4711", "sk_live_blocked"


def digest(secret: str) -> str:
    """The key of the client with this secret."""
    return f"sha256:{sha256(secret.encode()).hexdigest()}"


RULES = Ruleset(
    plans=(Plan("free", "Free"), Plan("pro", "Pro")),
    default_plan="free",
    endpoints=(
        Endpoint("search", "Search", (Route.parse("GET /search"),)),
        Endpoint("orders", "Orders", (Route.parse("POST /orders/{id}"),)),
        Endpoint("paid", "Paid", (Route.parse("GET /paid"),)),
    ),
    policies=(
        Policy("free-search", (Limit(3, 3_600),), plan="free", endpoint="search"),
        Policy("free-orders", (Limit(5, 3_600),), plan="free", endpoint="orders"),
        Policy("pro-search", (Limit(100, 60),), plan="pro", endpoint="search"),
        Policy("paid", (Limit(9, 60),), endpoint="paid", on_store_failure=OnStoreFailure.DENY),
    ),
    tokens=(ApiToken("proxy", sha256(TOKEN.encode()).hexdigest(), frozenset([Scope.CHECK])),),
)
CLIENTS = (
    ClientRecord(digest(KEY), 1, plan="pro"),
    ClientRecord(digest(BLOCKED), 2, status=ClientStatus.BLOCKED),
)
SETTINGS = {"NAMESPACE": NAMESPACE, "NUM_PROXIES": "1", "FORWARD_AUTH_CLIENT": "header:X-API-Key"}


def port_of(server: WebServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


@pytest.fixture(scope="module", params=["web", "gateway"])
def platform(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[WebServer]:
    """A server of the platform for all tests of a file: a web server, then a gateway."""
    running = running_gateways if request.param == "gateway" else running_servers
    with running(1, **SETTINGS) as (server,):
        yield server


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    with running_application() as application:
        yield application


@pytest.fixture(scope="module", params=PROXIES)
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    platform: WebServer,
    application: Application,
) -> Iterator[int]:
    """The port of nginx, Caddy and Envoy in turn, with the documented configuration."""
    with running_proxy(
        PROXIES[request.param],
        tmp_path_factory.mktemp(request.param),
        platform=port_of(platform),
        application=application.server_port,
        token=TOKEN,
    ) as port:
        yield port


@pytest.fixture
def store(redis_url: str) -> Store:
    """The platform's store with the rules, and without counters."""
    store = Store(redis_url, NAMESPACE)
    store.redis.flushall()
    publish(store)
    return store


def publish(store: Store) -> None:
    """Publishes the rules and clients of these tests."""
    store.publish(RULES)
    store.load(*CLIENTS)
