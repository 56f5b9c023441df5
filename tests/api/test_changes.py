"""Change sets over HTTP, with a real database and a real store."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from limits.changes.lifecycle import approve
from limits.models import ApiToken, ChangeSet, Publication, tokens
from limits.publishing import clients, rules
from limits.publishing.reconciler import go_live
from limits.simulation.running import run
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import Caller, serve
from tests.models import rows
from tests.simulation.recorded import BEGIN, HOURS, MINUTE, record
from tests.support.servers import Store

pytestmark = pytest.mark.django_db(transaction=True)

RAISED = {"policies": [{"slug": "all", "limits": [{"quota": 20, "window": 60}]}]}
DIFFERENCE = "Policy all, limits: 10 per minute → 20 per minute."


class Deployment:
    """A program with a token for rules, one that also publishes without approval, and one that may only check."""

    def __init__(self) -> None:
        self.caller = Caller()
        self.rules = tokens.issue(name="deploy", scopes=[Scope.RULES])
        self.publisher = tokens.issue(name="ci", scopes=[Scope.RULES, Scope.PUBLISH])
        self.check = tokens.issue(name="gateway", scopes=[Scope.CHECK])

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> Any:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {token or self.rules}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.caller.client.generic(method, path, data, content_type="application/json", headers=sent)

    def prepare(self, config: Any = RAISED, name: str = "Sale", **more: Any) -> Any:
        return self.ask("POST", "/v1/changes", {"name": name, "config": config}, **more)

    def act(self, change: int, action: str, body: Any = None, **more: Any) -> Any:
        return self.ask("POST", f"/v1/changes/{change}/{action}", body, **more)

    def read(self, change: int) -> Any:
        return self.ask("GET", f"/v1/changes/{change}").json()

    def quota(self, client: str = "ann") -> tuple[int, str | None]:
        """The quota in force, and the change set that decides."""
        body = {"client": client, "endpoint": "any"}
        decision = self.ask("POST", "/v1/peek", body, token=self.check).json()
        return decision["limits"][0]["quota"], decision.get("change")


def begin(settings: Settings, url: str, namespace: str) -> Deployment:
    serve(settings, Store(url, namespace))
    rows.plan("free", is_default=True)
    rows.policy("all", quota=10)
    found = Deployment()
    rules.record("tests")
    assert go_live().live
    return found


@pytest.fixture
def deployment(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> Deployment:
    return begin(settings, redis_url, f"changes-{abs(hash(request.node.nodeid))}")


@pytest.fixture
def with_approval(settings: Settings, deployment: Deployment) -> Deployment:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}
    return deployment


def in_hours(hours: int) -> str:
    return (timezone.now() + timedelta(hours=hours)).isoformat()


def test_a_change_set_is_prepared_read_and_published(deployment: Deployment) -> None:
    made = deployment.ask("POST", "/v1/changes", {"name": "Sale", "reason": "Spring", "config": RAISED})
    assert made.status_code == 201
    body = made.json()
    created_at = body.pop("created_at")
    change = body.pop("id")
    expected = {"name": "Sale", "reason": "Spring", "state": "draft", "author": "token deploy", "base": 1}
    empty: dict[str, Any] = {"simulations": []} | dict.fromkeys(
        ("at", "until", "share", "tag", "approved_by", "publication")
    )
    assert body == {**expected, **empty, "differences": [DIFFERENCE], "conflicts": [], "live": True}
    assert deployment.quota() == (10, None)
    assert deployment.read(change) == {**expected, **empty, "id": change, "created_at": created_at} | {
        "differences": [DIFFERENCE],
        "conflicts": [],
    }

    done = deployment.act(change, "publish")
    assert done.status_code == 200
    assert {**done.json(), "created_at": created_at} == {
        **deployment.read(change),
        "state": "published",
        "publication": 2,
        "differences": [DIFFERENCE],
        "live": True,
    }
    assert deployment.quota() == (20, None)
    published = Publication.objects.get(sequence=2)
    assert (published.author, published.reason) == ("token deploy", "Spring")


def test_a_share_then_all_clients(deployment: Deployment) -> None:
    change = deployment.prepare().json()["id"]
    tried = deployment.act(change, "publish", {"share": 50})
    assert (tried.status_code, tried.json()["state"], tried.json()["share"]) == (200, "trial", 50)
    assert (tried.json()["publication"], tried.json()["differences"]) == (2, [DIFFERENCE])
    seen = {deployment.quota(f"client-{number}") for number in range(40)}
    assert seen == {(10, None), (20, "Sale")}
    assert deployment.act(change, "publish", {"share": 99}).json()["share"] == 99
    assert deployment.act(change, "publish", {}).json()["state"] == "published"
    assert {deployment.quota(f"client-{number}") for number in range(40)} == {(20, None)}


def test_a_tag(deployment: Deployment) -> None:
    rows.client("vip", tags=["beta"])
    assert clients.deliver(["vip"]).live
    change = deployment.prepare().json()["id"]
    tried = deployment.act(change, "publish", {"tag": "beta"})
    assert (tried.status_code, tried.json()["tag"], tried.json()["share"]) == (200, "beta", None)
    assert (deployment.quota("vip"), deployment.quota("ann")) == ((20, "Sale"), (10, None))


def test_a_schedule_is_withdrawn(deployment: Deployment) -> None:
    change = deployment.prepare().json()["id"]
    body = {"at": "2126-11-27T01:00:00+01:00", "until": "2126-12-01T00:00:00Z"}
    scheduled = deployment.act(change, "schedule", body)
    assert scheduled.status_code == 200
    found = scheduled.json()
    assert (found["state"], found["at"], found["until"]) == ("scheduled", "2126-11-27T00:00:00Z", body["until"])
    assert found["live"] is True
    assert deployment.quota() == (10, None)

    withdrawn = deployment.act(change, "withdraw", {"reason": "No sale this year."})
    assert (withdrawn.status_code, withdrawn.json()["state"], withdrawn.json()["live"]) == (200, "withdrawn", True)
    assert [row.reason for row in Publication.objects.all()[:1]] == ["No sale this year."]


def test_a_withdrawn_draft_publishes_nothing(deployment: Deployment) -> None:
    change = deployment.prepare().json()["id"]
    withdrawn = deployment.act(change, "withdraw")
    assert (withdrawn.status_code, withdrawn.json()["state"]) == (200, "discarded")
    assert Publication.objects.count() == 1
    assert deployment.prepare().status_code == 201


def test_the_list_is_paged_with_the_newest_first(deployment: Deployment) -> None:
    made = [deployment.prepare(name=f"C{number}").json()["id"] for number in range(5)]
    deployment.act(made[1], "withdraw")
    seen, address = [], "/v1/changes?limit=2"
    while address:
        page = deployment.ask("GET", address).json()
        seen.append([item["id"] for item in page["changes"]])
        address = page["next"]
    assert seen == [[made[4], made[3]], [made[2], made[1]], [made[0]]]
    discarded = deployment.ask("GET", "/v1/changes?state=discarded").json()
    assert [item["name"] for item in discarded["changes"]] == ["C1"]
    assert "differences" not in discarded["changes"][0]
    following = deployment.ask("GET", "/v1/changes?state=draft&limit=1").json()["next"]
    assert following == f"/v1/changes?limit=1&after={made[4]}&state=draft"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "after=x", "after=0", "state=over", "sort=1", "limit=1&limit=2"]
)
def test_invalid_parameters_of_the_list(deployment: Deployment, query: str) -> None:
    response = deployment.ask("GET", f"/v1/changes?{query}")
    assert (response.status_code, list(response.json()["errors"])) == (400, [query.partition("=")[0]])


def policy(**fields: Any) -> dict[str, Any]:
    """A config file with one policy."""
    return {"policies": [{"slug": "a", "limits": [{"quota": 1, "window": 60}]} | fields]}


NO_CONFIG = ["must be an object with sections of the config file."]
NO_NAME = ["is required: the name of the change set."]
UNKNOWN_SECTION = (
    "is unknown; allowed here: plans, endpoints, policies, clients, overrides, grants, blocks, channels, alert_rules."
)
OTHER_SECTION = "cannot be part of a change set, which has plans, endpoints, policies, and overrides of segments only."


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], {"body": ["must be a JSON object."]}),
        ({}, {"name": NO_NAME, "config": NO_CONFIG}),
        ({"name": " ", "config": []}, {"name": NO_NAME, "config": NO_CONFIG}),
        ({"name": "x" * 101, "config": {}}, {"name": ["must have at most 100 characters."]}),
        ({"name": "x", "reason": 5, "config": {}}, {"reason": ["must be a string."]}),
        ({"name": "x", "config": {}, "more": 1}, {"more": ["is not a field of a change set."]}),
        ({"name": "x\ud800", "config": {}}, {"body": ["must not contain lone surrogates."]}),
        (
            {"name": "x", "config": policy(limits=[{"quota": 1, "window": 60}, {"quota": -1, "window": 1}])},
            {"config.policies[0].limits[1].quota": ["must be between 0 and 1,000,000,000."]},
        ),
        (
            {"name": "x", "config": policy(plan="gone")},
            {"config.policies[0].plan": ["there is no plan “gone”."]},
        ),
        (
            {"name": "x", "config": policy(odd=1)["policies"][0]},
            {"config.slug": [UNKNOWN_SECTION], "config.limits": [UNKNOWN_SECTION], "config.odd": [UNKNOWN_SECTION]},
        ),
        ({"name": "x", "config": {"clients": [{"key": "acme"}]}}, {"config.clients": [OTHER_SECTION]}),
    ],
)
def test_an_invalid_change_set_is_rejected_at_its_place(
    deployment: Deployment, body: Any, errors: dict[str, list[str]]
) -> None:
    response = deployment.ask("POST", "/v1/changes", body)
    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-request")
    assert response.json()["errors"] == errors
    assert not ChangeSet.objects.exists()


def test_a_second_unfinished_change_set_of_the_same_name(deployment: Deployment) -> None:
    deployment.prepare()
    response = deployment.prepare()
    assert (response.status_code, response.json()["errors"]) == (
        400,
        {"name": ["An unfinished change has this name."]},
    )


def test_a_simulation_over_recorded_usage(deployment: Deployment) -> None:
    record("busy", {"any": {MINUTE: 30}})
    change = deployment.prepare().json()["id"]
    wanted = {"from": BEGIN.isoformat(), "to": (BEGIN + HOURS).isoformat()}
    for _ in range(2):
        waits = deployment.act(change, "simulate", wanted)
        assert (waits.status_code, waits.json()["state"], waits.json()["live"]) == (202, "draft", False)
    (simulation,) = waits.json()["simulations"]
    assert (simulation["state"], simulation["totals"]) == ("waiting", None)
    run(simulation["id"])
    (found,) = deployment.read(change)["simulations"]
    assert (found["state"], found["progress"], found["outdated"], found["problems"]) == ("done", 100, False, [])
    assert [datetime.fromisoformat(found[name]) for name in ("from", "to")] == [BEGIN, BEGIN + HOURS]
    figures = found["totals"]["all"]
    assert (figures["requests"], figures["before_least"], figures["after_least"]) == (30, 20, 10)
    assert figures["before_most"] >= 20
    assert list(found["totals"]["policies"]) == ["all"]


def test_what_is_over_is_not_simulated(deployment: Deployment) -> None:
    change = deployment.prepare().json()["id"]
    deployment.act(change, "withdraw")
    response = deployment.act(change, "simulate", {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"})
    assert (response.status_code, response.json()["type"]) == (409, "/problems/change-not-possible")


@pytest.mark.parametrize(
    ("action", "body", "errors"),
    [
        ("simulate", {}, ["from", "to"]),
        ("simulate", {"from": "2026-01-01", "to": "2026-01-02T00:00:00Z"}, ["from"]),
        ("simulate", {"from": "2026-01-01T00:00:01Z", "to": "2026-01-01T00:00:59Z"}, ["to"]),
        ("simulate", {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "of": 1}, ["of"]),
        ("schedule", {}, ["at"]),
        ("schedule", {"at": "tomorrow"}, ["at"]),
        ("schedule", {"at": "2126-01-01T00:00:00"}, ["at"]),
        ("schedule", {"at": 5, "until": 5}, ["at", "until"]),
        ("schedule", {"at": "2020-01-01T00:00:00Z"}, ["at"]),
        ("schedule", {"at": "2126-01-02T00:00:00Z", "until": "2126-01-01T00:00:00Z"}, ["until"]),
        ("publish", {"share": 0}, ["share"]),
        ("publish", {"share": 100}, ["share"]),
        ("publish", {"share": True}, ["share"]),
        ("publish", {"tag": "No Tag"}, ["tag"]),
        ("publish", {"share": 10, "tag": "beta"}, ["tag"]),
        ("publish", {"all": True}, ["all"]),
        ("withdraw", {"reason": "\n"}, ["reason"]),
        ("withdraw", [], ["body"]),
    ],
)
def test_invalid_fields_of_actions(deployment: Deployment, action: str, body: Any, errors: list[str]) -> None:
    change = deployment.prepare().json()["id"]
    response = deployment.act(change, action, body)
    assert (response.status_code, list(response.json()["errors"])) == (400, errors)
    assert deployment.read(change)["state"] == "draft"
    assert Publication.objects.count() == 1


def test_what_cannot_be_tried_on_a_share_names_the_field(deployment: Deployment) -> None:
    change = deployment.prepare({"endpoints": [{"slug": "new", "routes": ["GET /new"]}]}).json()["id"]
    response = deployment.act(change, "publish", {"share": 10})
    assert (response.status_code, response.json()["errors"]) == (
        400,
        {"share": ["Endpoints cannot differ for a share of the clients: publish them for all first."]},
    )


def test_a_conflict_names_the_field_and_the_values(deployment: Deployment) -> None:
    first = deployment.prepare().json()["id"]
    other = {"policies": [{"slug": "all", "limits": [{"quota": 30, "window": 60}]}]}
    second = deployment.prepare(other, name="Other").json()["id"]
    deployment.act(second, "publish")
    conflict = {"path": "policies.all.limits.60s.quota", "before": 10, "after": 20, "found": 30}
    response = deployment.act(first, "publish")
    assert (response.status_code, response.json()["type"]) == (409, "/problems/change-conflict")
    assert response.json()["conflicts"] == [conflict]
    found = deployment.read(first)
    assert (found["state"], found["conflicts"], found["differences"]) == ("draft", [conflict], [])


def test_a_publication_that_does_not_fit_a_planned_one_is_a_conflict(deployment: Deployment) -> None:
    planned = deployment.prepare().json()["id"]
    deployment.act(planned, "schedule", {"at": in_hours(1)})
    other = {"policies": [{"slug": "all", "limits": [{"quota": 30, "window": 60}]}]}
    second = deployment.prepare(other, name="Other").json()["id"]
    response = deployment.act(second, "publish")
    assert (response.status_code, response.json()["type"]) == (409, "/problems/change-conflict")
    assert list(response.json()["errors"]) == ["policies.all.limits[0].quota"]
    assert deployment.quota() == (10, None)


def test_what_is_over_cannot_be_published(deployment: Deployment) -> None:
    change = deployment.prepare().json()["id"]
    assert deployment.act(change, "publish").status_code == 200
    for action, body in (("publish", None), ("schedule", {"at": in_hours(1)}), ("withdraw", None)):
        response = deployment.act(change, action, body)
        assert (response.status_code, response.json()["type"]) == (409, "/problems/change-not-possible")
    nothing = deployment.prepare({}, name="Nothing").json()
    assert nothing["differences"] == []
    assert deployment.act(nothing["id"], "publish").json()["detail"] == "The change set contains no edits."


@pytest.mark.parametrize("path", ["999", "999/publish", "999/withdraw", f"{10**30}", "abc", "1/approve"])
def test_an_unknown_change_set(deployment: Deployment, path: str) -> None:
    response = deployment.ask("POST" if "/" in path else "GET", f"/v1/changes/{path}", {} if "/" in path else None)
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("POST", ""),
        ("GET", "/1"),
        ("POST", "/1/publish"),
        ("POST", "/1/schedule"),
        ("POST", "/1/withdraw"),
        ("POST", "/1/simulate"),
    ],
)
def test_a_token_without_the_scope(deployment: Deployment, method: str, path: str) -> None:
    response = deployment.ask(method, f"/v1/changes{path}", {}, token=deployment.check)
    assert (response.status_code, response.json()["type"]) == (403, "/problems/insufficient-scope")
    assert 'scope="rules"' in response["WWW-Authenticate"]


def test_a_revoked_token_changes_nothing_even_before_the_revocation_is_published(deployment: Deployment) -> None:
    ApiToken.objects.filter(name="deploy").update(revoked_at=timezone.now())
    assert deployment.prepare().status_code == 401
    assert not ChangeSet.objects.exists()


def test_a_change_set_of_a_token_awaits_approval_by_another_than_the_creator(with_approval: Deployment) -> None:
    ann, bob = (User.objects.create_superuser(name) for name in ("ann", "bob"))
    ApiToken.objects.filter(name="deploy").update(created_by=ann)
    change = with_approval.prepare().json()["id"]
    for _ in range(2):
        waits = with_approval.act(change, "publish")
        assert (waits.status_code, waits.json()["state"], waits.json()["live"]) == (202, "awaiting", False)
        assert waits.json()["detail"].startswith("Another person has to approve")
    assert with_approval.quota() == (10, None)
    row = ChangeSet.objects.get(pk=change)
    assert row.user == ann
    approve(row, bob)
    done = with_approval.act(change, "publish")
    assert (done.status_code, done.json()["state"], done.json()["approved_by"]) == (200, "published", "bob")
    assert with_approval.quota() == (20, None)


@pytest.mark.parametrize(("action", "body"), [("publish", {"share": 10}), ("schedule", {"at": "2126-01-01T00:00:00Z"})])
def test_shares_and_schedules_await_approval_too(with_approval: Deployment, action: str, body: Any) -> None:
    change = with_approval.prepare().json()["id"]
    assert with_approval.act(change, action, body).status_code == 202
    assert Publication.objects.count() == 1


def test_a_token_with_the_scope_publish_needs_no_approval(with_approval: Deployment) -> None:
    change = with_approval.prepare().json()["id"]
    assert with_approval.act(change, "publish", token=with_approval.publisher).status_code == 200
    assert with_approval.quota() == (20, None)


def test_without_redis_a_publication_goes_live_later(
    settings: Settings, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    deployment = begin(settings, server.url, "lone")
    change = deployment.prepare().json()["id"]
    server.kill()
    later = deployment.act(change, "publish")
    assert (later.status_code, later.json()["state"], later.json()["live"]) == (202, "published", False)
    assert later.json()["detail"] == "Redis is unavailable; the change will go live automatically."


def test_a_repeated_request_with_a_key_creates_one_change_set(deployment: Deployment) -> None:
    first = deployment.prepare(idempotency_key="a-1")
    again = deployment.prepare(idempotency_key="a-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    other = deployment.prepare({}, idempotency_key="a-1")
    assert (other.status_code, other.json()["type"]) == (409, "/problems/idempotency-key-reused")
    of_another_token = deployment.prepare(name="Other", idempotency_key="a-1", token=deployment.publisher)
    assert of_another_token.status_code == 201
    ChangeSet.objects.filter(name="Sale").update(created_at=timezone.now() - timedelta(hours=24), state="withdrawn")
    assert deployment.prepare(idempotency_key="a-1").json()["id"] != first.json()["id"]


def test_simultaneous_requests_with_a_key_create_one_change_set(deployment: Deployment) -> None:
    together, found = Barrier(4), []

    def ask() -> None:
        together.wait()
        found.append(deployment.prepare(idempotency_key="a-1").json()["id"])
        connections.close_all()

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_simultaneous_publications_of_one_change_set_publish_it_once(deployment: Deployment) -> None:
    change = deployment.prepare().json()["id"]
    together, found = Barrier(4), []

    def ask() -> None:
        together.wait()
        found.append(deployment.act(change, "publish").status_code)
        connections.close_all()

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200, 409, 409, 409]
    assert Publication.objects.count() == 2
