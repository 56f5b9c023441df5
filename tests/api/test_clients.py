"""Managing clients over HTTP, with a real database and a real store."""

import json
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection, connections
from pytest_django import Settings

from limits.models import Client, ClientChange, CounterReset, Plan, tokens
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import Caller, serve
from tests.models import rows
from tests.support.locks import overtaken_by
from tests.support.servers import Store

pytestmark = pytest.mark.django_db(transaction=True)


class Manager:
    """A program with three tokens, each with one scope."""

    def __init__(self) -> None:
        self.caller = Caller()
        self.clients = tokens.issue(name="crm", scopes=[Scope.CLIENTS])
        self.rules = tokens.issue(name="deploy", scopes=[Scope.RULES])
        self.check = tokens.issue(name="gateway", scopes=[Scope.CHECK])

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token or self.clients}"}
        return self.caller.client.generic(method, path, data, content_type="application/json", headers=headers)

    def client(self, method: str, key: str, body: Any = None, more: str = "", **options: Any) -> Any:
        return self.ask(method, f"/v1/clients/{quote(key, safe='')}{more}", body, **options)

    def decision(self, key: str, consume: bool = True) -> Any:
        path = "/v1/check?status=200" if consume else "/v1/peek"
        return self.ask("POST", path, {"client": key, "endpoint": "any"}, token=self.check).json()


def begin(settings: Settings, url: str, namespace: str) -> Manager:
    serve(settings, Store(url, namespace))
    rows.plan("free", is_default=True)
    rows.plan("pro")
    rows.policy("all", quota=3)
    manager = Manager()
    rules.record("tests")
    assert go_live().live
    return manager


@pytest.fixture
def manager(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> Manager:
    return begin(settings, redis_url, f"clients-{abs(hash(request.node.nodeid))}")


def test_creating_changing_and_deleting_a_client_affects_the_next_check(manager: Manager) -> None:
    made = manager.client("PUT", "acme", {"name": "Acme Ltd", "plan": "pro"})
    assert (made.status_code, made.json()) == (
        201,
        {
            "key": "acme",
            "name": "Acme Ltd",
            "plan": "pro",
            "status": "active",
            "tags": [],
            "parent": None,
            "live": True,
        },
    )
    assert manager.decision("acme")["plan"] == "pro"

    assert manager.client("PATCH", "acme", {"status": "blocked"}).json()["name"] == "Acme Ltd"
    assert manager.decision("acme")["reason"] == "blocked"

    replaced = manager.client("PUT", "acme", {"name": "Acme"})
    assert (replaced.status_code, replaced.json()["plan"], replaced.json()["status"]) == (200, None, "active")
    assert manager.client("GET", "acme").json() == {
        "key": "acme",
        "name": "Acme",
        "plan": None,
        "status": "active",
        "tags": [],
        "parent": None,
    }
    assert manager.decision("acme")["plan"] == "free"

    assert manager.client("DELETE", "acme").status_code == 204
    assert manager.client("GET", "acme").status_code == 404
    assert not ClientChange.objects.exists()


@pytest.mark.parametrize("key", ["a/b", "a/reset", "reset", "a%2Fb", "ü €", "a?b#c", ".", "a b", "x" * 256, "//a"])
def test_any_key(manager: Manager, key: str) -> None:
    assert manager.client("PUT", key, {"plan": "pro"}).status_code == 201
    assert manager.client("GET", key).json()["key"] == key
    assert manager.decision(key)["plan"] == "pro"
    assert manager.client("POST", key, {"reason": "why not"}, "/reset").json()["client"] == key
    assert manager.client("DELETE", key).status_code == 204


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], {"body": ["must be a JSON object."]}),
        ({"plan": "gold"}, {"plan": ["There is no plan “gold”."]}),
        ({"plan": 5}, {"plan": ["must be the slug of a plan, or null."]}),
        ({"status": "away"}, {"status": ["must be one of: active, exempt, blocked."]}),
        ({"name": "x" * 201}, {"name": ["must have at most 200 characters."]}),
        ({"name": "a\u0000"}, {"name": ["must not contain control characters."]}),
        (
            {"name": None, "key": "b"},
            {"name": ["must be a string."], "key": ["is not a field of a client."]},
        ),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_invalid_values_are_reported_and_change_nothing(
    manager: Manager, method: str, body: Any, errors: dict[str, list[str]]
) -> None:
    rows.client("acme")
    response = manager.client(method, "acme", body)
    assert (response.status_code, response.json()["errors"]) == (400, errors)
    assert Client.objects.get().name == ""


def test_an_invalid_key_and_an_unknown_client(manager: Manager) -> None:
    assert manager.client("PUT", "x" * 257, {}).status_code == 404
    assert manager.client("PUT", "a\x01", {}).status_code == 404
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert manager.client(method, "nobody", body).status_code == 404


def test_the_list_is_paged_and_filtered(manager: Manager) -> None:
    pro = Plan.objects.get(slug="pro")
    for number in range(7):
        rows.client(f"client &{number}", plan=pro if number % 2 else None)
    rows.client("zoe", status="blocked")
    seen, address = [], "/v1/clients?limit=3"
    while address:
        page = manager.ask("GET", address).json()
        assert len(page["clients"]) <= 3
        seen += [client["key"] for client in page["clients"]]
        address = page["next"]
    assert seen == [*(f"client &{number}" for number in range(7)), "zoe"]
    found = manager.ask("GET", "/v1/clients?plan=pro&limit=2").json()
    assert [client["plan"] for client in found["clients"]] == ["pro", "pro"]
    assert manager.ask("GET", found["next"]).json()["clients"][0]["key"] == "client &5"
    assert [client["key"] for client in manager.ask("GET", "/v1/clients?status=blocked").json()["clients"]] == ["zoe"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1001", "limit=1&limit=2", "page=1", "status=away"])
def test_invalid_parameters_of_the_list(manager: Manager, query: str) -> None:
    response = manager.ask("GET", f"/v1/clients?{query}")
    assert (response.status_code, list(response.json()["errors"])) == (400, [query.partition("=")[0]])


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", {}), ("PATCH", {}), ("DELETE", None)])
def test_a_token_that_may_only_check(manager: Manager, method: str, body: Any) -> None:
    assert manager.client(method, "acme", body, token=manager.check).status_code == 403
    assert manager.client(method, "acme", body, token="unknown").status_code == 401


def test_concurrent_requests_create_one_client(manager: Manager) -> None:
    statuses: list[int] = []
    together = Barrier(4)

    def put() -> None:
        together.wait()
        statuses.append(manager.client("PUT", "acme", {"plan": "pro"}).status_code)
        connections.close_all()

    threads = [Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 200, 201]
    assert Client.objects.count() == 1


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_change_after_a_concurrent_deletion_is_a_404(manager: Manager, method: str) -> None:
    manager.client("PUT", "acme", {})
    body = {"plan": "pro"} if method == "PATCH" else None
    response = overtaken_by(Client.objects.filter(key="acme").delete, lambda: manager.client(method, "acme", body))
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


def test_a_client_saved_during_an_outage_is_reported_as_not_live(
    settings: Settings, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    manager = begin(settings, server.url, "lone")
    manager.client("PUT", "old", {})
    manager.client("GET", "old")
    server.kill()
    later = manager.client("PUT", "acme", {"plan": "pro"})
    assert (later.status_code, later.json()["live"]) == (202, False)
    assert "will go live automatically" in later.json()["detail"]
    assert manager.client("DELETE", "old").status_code == 202
    assert manager.client("POST", "acme", {"reason": "x"}, "/reset").status_code == 503
    assert Client.objects.get().key == "acme"
    assert not CounterReset.objects.exists()


def test_an_unavailable_database_is_a_503(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    connection.close()
    response = manager.client("GET", "acme")
    monkeypatch.undo()
    connection.close()
    assert (response.status_code, response.json()["type"]) == (503, "/problems/database-unavailable")
    assert response["Retry-After"] == "1"


def test_a_reset_deletes_every_counter_of_the_client_and_is_recorded(manager: Manager) -> None:
    for key in ("ann", "bob"):
        assert [manager.decision(key)["allowed"] for _ in range(4)] == [True] * 3 + [False]
    done = manager.client("POST", "ann", {"reason": " Paid for more. "}, "/reset")
    assert (done.status_code, done.json()) == (200, {"client": "ann", "reason": "Paid for more."})
    assert manager.decision("ann", consume=False)["remaining"] == 3
    assert manager.decision("bob", consume=False)["remaining"] == 0
    kept = CounterReset.objects.get()
    assert (kept.client_key, kept.reason, kept.author) == ("ann", "Paid for more.", "token crm")


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": 5}, {"reason": "x" * 501}])
def test_a_reset_needs_a_reason(manager: Manager, body: Any) -> None:
    response = manager.client("POST", "ann", body, "/reset")
    assert (response.status_code, list(response.json()["errors"])) == (400, ["reason"])
    assert not CounterReset.objects.exists()
