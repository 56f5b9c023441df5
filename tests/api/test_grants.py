"""Grants over HTTP, with a real database and a real store."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from limits.domain.rule_items import text_of_moment
from limits.models import Grant, GrantTotal, tokens
from limits.monitoring.drain import drain
from limits.publishing import clients, rules
from limits.publishing.reconciler import go_live, reconcile
from limits.store.client import control_client
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.store.keys import Keys, shard_of
from tests.api.conftest import Caller, serve
from tests.models import rows
from tests.support.servers import Store

pytestmark = pytest.mark.django_db(transaction=True)

UNTIL = "2126-01-01T00:00:00Z"
SOLD = {"client": "acme", "policy": "monthly", "amount": 10_000, "until": UNTIL}


class BackOffice:
    """A program with a token for clients, and one that checks."""

    def __init__(self, namespace: str) -> None:
        self.caller = Caller()
        self.keys = Keys(namespace)
        self.clients = tokens.issue(name="back-office", scopes=[Scope.CLIENTS])
        self.check = tokens.issue(name="gateway", scopes=[Scope.CHECK])

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {token or self.clients}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.caller.client.generic(method, path, data, content_type="application/json", headers=sent)

    def sell(self, **fields: Any) -> Any:
        return self.ask("POST", "/v1/grants", SOLD | fields)

    def errors(self, method: str, path: str, body: Any) -> dict[str, list[str]]:
        answer = self.ask(method, path, body)
        assert answer.status_code == 400
        found: dict[str, list[str]] = answer.json()["errors"]
        return found

    def admitted(self, count: int, cost: int = 1) -> int:
        """How many of so many checks are admitted."""
        body = {"client": "acme", "endpoint": "any", "cost": cost}
        answers = [self.ask("POST", "/v1/check", body, token=self.check) for _ in range(count)]
        return [answer.status_code for answer in answers].count(200)

    def stored(self) -> dict[str, int]:
        fields: Any = control_client().hgetall(self.keys.grants(shard_of("acme"), "acme"))
        return {name.decode(): int(value) for name, value in fields.items()}


@pytest.fixture
def office(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> BackOffice:
    """The client acme may use 5 units per month."""
    namespace = f"grants-{abs(hash(request.node.nodeid))}"
    serve(settings, Store(redis_url, namespace))
    rows.plan("free", is_default=True)
    rows.monthly_policy(quota=5)
    rows.policy("by-minute")
    rows.client("acme")
    found = BackOffice(namespace)
    rules.record("tests")
    assert go_live().live
    assert clients.deliver().live
    return found


def test_units_are_sold_read_extended_and_ended(office: BackOffice) -> None:
    sold = office.sell(reason="Order 7")
    assert sold.status_code == 201
    body = sold.json()
    number = body["id"]
    row = Grant.objects.get()
    assert body == SOLD | {
        "id": row.pk,
        "from": text_of_moment(row.starts_at),
        "priority": 0,
        "reason": "Order 7",
        "state": "active",
        "consumed": 0,
        "returned": 0,
        "remaining": 10_000,
        "author": "token back-office",
        "created_at": text_of_moment(row.created_at),
        "live": True,
    }
    assert office.stored() == {f"{number}c": 0, f"{number}r": 0}
    assert row.history.get().history_change_reason == "Over HTTP, token back-office."

    GrantTotal.objects.create(grant=row, consumed=300, returned=100)
    del body["live"]
    assert office.ask("GET", f"/v1/grants/{number}").json() == body | {
        "consumed": 300,
        "returned": 100,
        "remaining": 9_800,
    }

    changed = office.ask("PUT", f"/v1/grants/{number}", {"amount": 200, "until": UNTIL, "from": body["from"]})
    assert changed.status_code == 200
    assert (changed.json()["remaining"], changed.json()["reason"]) == (0, "")

    ended = office.ask("DELETE", f"/v1/grants/{number}")
    assert (ended.status_code, ended.json()["state"], ended.json()["live"]) == (200, "ended", True)
    assert Grant.objects.get().ends_at <= timezone.now()


def test_an_unused_grant_is_removed(office: BackOffice) -> None:
    number = office.sell().json()["id"]
    assert office.ask("DELETE", f"/v1/grants/{number}").status_code == 204
    assert office.ask("GET", f"/v1/grants/{number}").status_code == 404


def test_a_grant_whose_use_is_not_drained_yet_is_ended(office: BackOffice) -> None:
    number = office.sell().json()["id"]
    control_client().hincrby(office.keys.grants(shard_of("acme"), "acme"), f"{number}c", 1)
    assert office.ask("DELETE", f"/v1/grants/{number}").json()["state"] == "ended"


def test_a_repeated_request_sells_once(office: BackOffice) -> None:
    answers = [office.ask("POST", "/v1/grants", SOLD, idempotency_key="order-7") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert office.ask("POST", "/v1/grants", SOLD | {"amount": 1}, idempotency_key="order-7").status_code == 409
    assert Grant.objects.count() == 1
    Grant.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert office.ask("POST", "/v1/grants", SOLD, idempotency_key="order-7").status_code == 201
    assert Grant.objects.count() == 2


def test_every_invalid_field_is_named(office: BackOffice) -> None:
    rows.monthly_policy("shared", partition="global")
    assert office.errors("POST", "/v1/grants", {"amount": 0, "until": "soon", "more": 1}).keys() == {
        *("client", "policy", "amount", "until", "more")
    }
    assert office.errors("POST", "/v1/grants", SOLD | {"client": "nobody"}) == {
        "client": ["There is no registered client “nobody”."]
    }
    assert office.errors("POST", "/v1/grants", SOLD | {"policy": "nothing"}) == {
        "policy": ["There is no policy “nothing”."]
    }
    for policy in ("by-minute", "shared"):
        assert office.errors("POST", "/v1/grants", SOLD | {"policy": policy}).keys() == {"policy"}
    assert office.errors("POST", "/v1/grants", SOLD | {"until": "2026-01-01T00:00:00Z"}) == {
        "until": ["must be in the future."]
    }
    number = office.sell(**{"from": "2026-11-01T00:00:00Z"}).json()["id"]
    assert office.errors("POST", "/v1/grants", SOLD | {"from": "2026-11-01T00:00:00Z"}).keys() == {"from"}
    GrantTotal.objects.create(grant_id=number, consumed=300, returned=0)
    one = f"/v1/grants/{number}"
    assert office.errors("PUT", one, {"amount": 299, "until": UNTIL}) == {
        "amount": ["300 units are used already. To stop the grant, end it."]
    }
    assert office.errors("PUT", one, SOLD | {"client": "other"}) == {
        "client": ["cannot be changed: create another grant."]
    }


def test_pages_of_grants_by_client_and_policy(office: BackOffice) -> None:
    rows.monthly_policy("second")
    rows.client("other")
    numbers = [office.sell(**fields).json()["id"] for fields in ({}, {"policy": "second"}, {"client": "other"}, {})]

    def listed(query: str) -> list[int]:
        return [row["id"] for row in office.ask("GET", f"/v1/grants?{query}").json()["grants"]]

    assert listed("client=acme") == [numbers[0], numbers[1], numbers[3]]
    assert listed("policy=second") == [numbers[1]]
    page = office.ask("GET", "/v1/grants?client=acme&limit=2").json()
    following = office.ask("GET", page["next"]).json()
    assert [row["id"] for row in following["grants"]] == [numbers[3]]
    assert following["next"] is None
    assert office.ask("GET", "/v1/grants?limit=0").status_code == 400
    assert office.ask("GET", "/v1/grants", token=office.check).status_code == 403


def empty(office: BackOffice) -> None:
    """Removes all keys of the platform, and lets the reconciler restore what it can."""
    redis = control_client()
    redis.delete(*redis.scan_iter(f"{office.keys.namespace}:*", count=1_000))
    reconcile()
    assert office.stored()


def test_sold_units_are_admitted_at_once_and_survive_an_emptied_redis(office: BackOffice) -> None:
    assert office.admitted(7) == 5
    number = office.sell(amount=10).json()["id"]
    assert office.admitted(3) == 3
    drain()
    assert office.admitted(2) == 2
    empty(office)
    # The period's own quota counts from 0 again. Of the grant, what was used since the last drain is forgotten: 2.
    assert office.admitted(20) == 5 + 7
    assert office.stored() == {f"{number}c": 10, f"{number}r": 0}
    for _ in range(2):
        drain()
    grant = office.ask("GET", f"/v1/grants/{number}").json()
    assert (grant["consumed"], grant["remaining"]) == (10, 0)
    empty(office)
    assert office.admitted(7) == 5


def test_of_two_grants_the_one_that_ends_first_is_used_first(office: BackOffice) -> None:
    later = office.sell(amount=3).json()["id"]
    sooner = office.sell(amount=2, until="2125-01-01T00:00:00Z").json()["id"]
    first = office.sell(amount=1, priority=1).json()["id"]
    assert office.admitted(5 + 4) == 9
    drain()
    assert dict(GrantTotal.objects.values_list("grant_id", "consumed")) == {sooner: 2, later: 2}
    assert office.admitted(5) == 2
    drain()
    assert dict(GrantTotal.objects.values_list("grant_id", "consumed")) == {sooner: 2, later: 3, first: 1}
