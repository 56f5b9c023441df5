"""Envoy in front of a site: the configuration of the documentation, with a real Envoy."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ratelimit_enforcer.domain.attributes import match_of
from ratelimit_enforcer.domain.enums import Mode, Partition, Scope
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint
from ratelimit_enforcer.engine import CheckRequest, Engine
from tests.engine.rules import per_hour, policy, ruleset
from tests.gateway.rls.envoy import running_envoy, running_site
from tests.gateway.rls.serving import Server
from tests.gateway.rls.test_service import token
from tests.support.servers import Store
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("envoy")

RULES = ruleset(
    policy("chat", per_hour(10), endpoint="chat"),
    policy("each-address", per_hour(1_000), endpoint="search", partition=Partition.GLOBAL, attributes=("ip",)),
    policy("export", per_hour(25), endpoint="export"),
    policy("gpt", per_hour(2), endpoint="search", match=match_of({"model": ["gpt-*"]})),
    policy("search", per_hour(3), endpoint="search"),
    policy("trial", per_hour(1), endpoint="search", mode=Mode.SHADOW),
    endpoints=(
        Endpoint("chat", "Chat", (Route("GET", "/chat"),)),
        Endpoint("export", "Export", (Route("GET", "/export"),)),
        Endpoint("search", "Search", (Route("GET", "/search"),)),
    ),
    tokens=(token("envoy", Scope.CHECK, Scope.ADJUST),),
)
ACME = {"x-client": "acme"}

Start = Callable[..., httpx.Client]


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    store.publish(RULES)
    store.load()
    server = Server(store.engine())
    yield server
    server.stop()


@pytest.fixture
def envoy(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Starts Envoy, with changes to the documented configuration."""
    with ExitStack() as running:

        def start(changes: dict[str, str] | None = None) -> httpx.Client:
            site = running.enter_context(running_site())
            return running.enter_context(
                running_envoy(tmp_path, site=site, service=server.port, token="envoy", changes=changes or {})
            )

        yield start


def remaining(engine: Engine, client: str, endpoint: str, **attributes: str) -> dict[str, int]:
    """Limit → what remains for a client, by a peek."""
    peeked = engine.check(CheckRequest(client, endpoint, attributes=attributes), consume=False)
    return {state.policy: state.remaining for state in peeked.limits}


def test_requests_beyond_the_quota_are_denied_with_headers_and_document(envoy: Start) -> None:
    client = envoy()
    responses = [client.get("/search?q=shoes", headers=ACME) for _ in range(4)]
    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert responses[0].text == "from the site"
    assert '"search:3600s";q=3;w=3600' in responses[0].headers["ratelimit-policy"]
    assert '"search:3600s";r=2;t=' in responses[0].headers["ratelimit"]
    denied = responses[3]
    assert 3_500 < int(denied.headers["retry-after"]) <= 3_600
    assert denied.headers["content-type"] == "application/problem+json"
    assert (denied.json()["status"], denied.json()["violated-policies"]) == (429, ["search:3600s"])
    assert client.get("/search", headers={"x-client": "other"}).status_code == 200


def test_client_path_address_and_attribute_are_those_of_the_request(envoy: Start, server: Server) -> None:
    client = envoy()
    gpt = ACME | {"x-model": "gpt-5"}
    assert [client.get("/search", headers=gpt).status_code for _ in range(3)] == [200, 200, 429]
    left = remaining(server.engine, "acme", "search", ip="127.0.0.1", model="gpt-5")
    assert left == {"each-address": 998, "gpt": 0, "search": 1, "trial": 0}
    assert client.get("/search").status_code == 200
    assert remaining(server.engine, "ip:127.0.0.1", "search", ip="127.0.0.1")["each-address"] == 997


def test_a_route_may_cost_more(envoy: Start) -> None:
    client = envoy()
    responses = [client.get("/export", headers=ACME) for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert '"export:3600s";r=5;' in responses[1].headers["ratelimit"]


def test_a_cost_that_is_known_afterwards_is_debited(envoy: Start, server: Server) -> None:
    client = envoy()
    response = client.get("/chat", headers=ACME | {"x-costs": "7"})
    assert response.status_code == 200
    assert '"chat:3600s";r=10;' in response.headers["ratelimit"]
    wait_until(lambda: remaining(server.engine, "acme", "chat")["chat"] == 3)
    assert client.get("/chat", headers=ACME | {"x-costs": "9"}).status_code == 200
    wait_until(lambda: remaining(server.engine, "acme", "chat")["chat"] == 0)
    assert client.get("/chat", headers=ACME | {"x-costs": "1"}).status_code == 429


def test_negative_hits_refund(envoy: Start, server: Server) -> None:
    client = envoy({"hits_addend: {number: 10}": "hits_addend: {number: 10, is_negative_hits: true}"})
    assert server.engine.check(CheckRequest("acme", "export", cost=25)).allowed
    assert client.get("/export", headers=ACME).status_code == 200
    assert remaining(server.engine, "acme", "export") == {"export": 10}


@pytest.mark.parametrize(("denies", "status"), [("false", 200), ("true", 500)])
def test_without_the_service_envoy_does_what_its_configuration_says(
    envoy: Start, server: Server, denies: str, status: int
) -> None:
    client = envoy({"failure_mode_deny: false": f"failure_mode_deny: {denies}"})
    assert client.get("/search", headers=ACME).status_code == 200
    server.stop()
    wait_until(lambda: "ratelimit" not in client.get("/search", headers={"x-client": "other"}).headers)
    assert client.get("/search", headers=ACME).status_code == status


def test_without_a_token_envoy_cannot_charge(envoy: Start, server: Server) -> None:
    client = envoy({"initial_metadata: [{key: authorization, value: Bearer envoy}]": "initial_metadata: []"})
    assert client.get("/chat", headers=ACME | {"x-costs": "7"}).status_code == 200
    wait_until(lambda: bool(server.failures))
    assert server.failures == [(16, "The request needs a token with the scope “adjust”.")]
    assert client.get("/search", headers=ACME).headers["ratelimit"]
    assert remaining(server.engine, "acme", "chat") == {"chat": 10}
