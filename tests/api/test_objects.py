"""Single objects of the config file over HTTP, with a real database and a real store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from limits.changes.lifecycle import Actor, approve
from limits.changes.publication import publish
from limits.models import AlertRule, ApiToken, Block, ChangeSet, CreatingRequest, Override, Policy, Publication, tokens
from limits.monitoring.retention import remove_expired
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.test_changes import Deployment, begin
from tests.models import rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> Deployment:
    deployment = begin(settings, redis_url, f"objects-{abs(hash(request.node.nodeid))}")
    author = User.objects.create(username="ada")
    deployment.rules = tokens.issue(name="office", scopes=[Scope.RULES, Scope.CLIENTS])
    ApiToken.objects.filter(name="office").update(created_by=author)
    rows.client("acme")
    rules.record("tests")
    assert go_live().live
    return deployment


@dataclass(frozen=True)
class Life:
    """The life of one object: how it is created and replaced, and what is wrong with ``invalid``."""

    path: str
    key: str
    body: dict[str, Any]
    other: dict[str, Any]
    invalid: dict[str, Any]
    wrong: str

    @property
    def section(self) -> str:
        return self.path.replace("-", "_")


def limits(quota: int) -> dict[str, Any]:
    return {"limits": [{"quota": quota, "window": 60}]}


LIVES = [
    Life(
        "plans",
        "pro",
        {"name": "Pro", "position": 2, "price_note": "€ 49"},
        {"name": "Profi", "position": 3, "price_note": "€ 59"},
        {"name": 1},
        "name",
    ),
    Life(
        "endpoints",
        "search",
        {"name": "Search", "routes": ["GET /search"], "cost": 2},
        {"name": "Search", "routes": ["GET /find"], "cost": 1},
        {"routes": ["nonsense"]},
        "routes[0]",
    ),
    Life(
        "policies",
        "strict",
        {"plan": "free", **limits(3)},
        {"name": "Strict", "mode": "shadow", **limits(4)},
        {"plan": "none", **limits(3)},
        "plan",
    ),
    Life(
        "alert-rules",
        "abuse/of search",
        {"metric": "throttled", "threshold": 5, "window": 60, "cooldown": 600, "emails": ["ops@example.com"]},
        {"metric": "throttled", "threshold": 6, "window": 120, "cooldown": 600, "emails": ["ops@example.com"]},
        {"metric": "throttled", "threshold": 5, "emails": ["nobody"]},
        "emails[0]",
    ),
    Life(
        "overrides",
        "",
        {"client": "acme", "policy": "all", "reason": "Sale", **limits(20)},
        {"client": "acme", "policy": "all", "ends_at": "2126-01-01T00:00:00Z", **limits(30)},
        {"client": "nobody", "policy": "all", **limits(20)},
        "client",
    ),
    Life(
        "overrides",
        "",
        {"clients": {"prefix": "ac"}, "policy": "all", **limits(20)},
        {"clients": {"prefix": "ac"}, "policy": "all", "reason": "Sale", **limits(30)},
        {"clients": {"prefix": "ac"}, "policy": "all", "limits": [{"quota": -1, "window": 60}]},
        "limits[0].quota",
    ),
    Life(
        "blocks",
        "",
        {"network": "203.0.113.0/24", "reason": "Scraping"},
        {"network": "203.0.113.0/24", "reason": "Scraping again", "ends_at": "2126-01-01T00:00:00Z"},
        {"network": "203.0.113.0/99", "reason": "Scraping"},
        "network",
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.path)
def test_an_object_is_created_read_replaced_and_deleted(office: Deployment, life: Life) -> None:
    address = f"/v1/{life.path}/{life.key.replace('/', '%2F').replace(' ', '%20')}"
    named = {"name" if life.path == "alert-rules" else "slug": life.key} if life.key else {}
    if life.key:
        assert office.ask("GET", address).status_code == 404
        made = office.ask("PUT", address, life.body, if_none_match="*")
    else:
        made = office.ask("POST", f"/v1/{life.path}", life.body)
        named = {"id": made.json()["id"]}
        address = f"/v1/{life.path}/{named['id']}"
    assert (made.status_code, made.json()) == (201, {**named, **life.body, "live": True})

    read = office.ask("GET", address)
    assert (read.status_code, read.json()) == (200, {**named, **life.body})
    assert read["ETag"] == made["ETag"]
    assert office.ask("GET", address, if_none_match=read["ETag"]).status_code == 304
    assert {**named, **life.body} in office.ask("GET", f"/v1/{life.path}").json()[life.section]
    if life.key:
        assert office.ask("PUT", address, life.other, if_none_match="*").status_code == 412

    wrong = office.ask("PUT", address, life.invalid)
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, [life.wrong])
    expected = {
        "dry_run": True,
        "differences": office.ask("PUT", f"{address}?dry_run=1", life.other).json()["differences"],
    }
    assert office.ask("PUT", f"{address}?dry_run=1", life.other).json() == expected
    assert len(expected["differences"]) >= 1
    assert office.ask("GET", address).json() == read.json()

    replaced = office.ask("PUT", address, life.other, if_match=read["ETag"])
    assert (replaced.status_code, replaced.json()) == (200, {**named, **life.other, "live": True})
    lost = office.ask("PUT", address, life.body, if_match=read["ETag"])
    assert (lost.status_code, lost.json()["type"]) == (412, "/problems/precondition-failed")
    assert office.ask("DELETE", address, if_match=read["ETag"]).status_code == 412
    deleted = office.ask("DELETE", address, if_match=replaced["ETag"])
    assert (deleted.status_code, deleted.json()) == (200, {**named, "live": True})
    assert office.ask("GET", address).status_code == 404
    assert office.ask("DELETE", address).status_code == 404


def quota(office: Deployment, client: str = "acme") -> int:
    return office.quota(client)[0]


def test_a_write_decides_the_very_next_check(office: Deployment) -> None:
    check = {"client": "acme", "endpoint": "any"}
    assert office.ask("PUT", "/v1/policies/all", limits(1)).json()["live"] is True
    statuses = [office.ask("POST", "/v1/check", check, token=office.check).status_code for _ in range(2)]
    assert statuses == [200, 429]
    made = office.ask("POST", "/v1/overrides", {"client": "acme", "policy": "all", **limits(2)})
    statuses = [office.ask("POST", "/v1/check", check, token=office.check).status_code for _ in range(2)]
    assert statuses == [200, 429]
    office.ask("PUT", f"/v1/overrides/{made.json()['id']}", {"client": "acme", "policy": "all", **limits(3)})
    assert quota(office) == 3
    block = office.ask("POST", "/v1/blocks", {"client": "acme", "reason": "Fraud"}).json()["id"]
    assert office.ask("POST", "/v1/check", check, token=office.check).status_code == 403
    office.ask("DELETE", f"/v1/blocks/{block}")
    assert office.ask("POST", "/v1/check", check, token=office.check).status_code == 200


def test_the_author_is_the_token_and_who_created_it(office: Deployment) -> None:
    office.ask("PUT", "/v1/policies/all", limits(5))
    made = office.ask("POST", "/v1/overrides", {"client": "acme", "policy": "all", **limits(2)}).json()
    published = Publication.objects.first()
    assert published is not None
    assert (published.author, published.user, published.reason) == (
        "token office",
        User.objects.get(),
        "Saved policy “all”.",
    )
    limit = Policy.objects.get().limits.get()
    override = Override.objects.get(pk=made["id"].partition("-")[2])
    for record in (limit.history.first(), override.history.first()):
        assert (record.history_user.username, record.history_change_reason) == ("ada", "token office")
    assert override.created_by == User.objects.get()


def test_secrets_of_channels_are_shown_as_references(office: Deployment, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": "s" * 32}
    url = "https://hooks.example.com/T0/secret"
    rule = {"metric": "throttled", "threshold": 5, "webhooks": [url]}
    made = office.ask("PUT", "/v1/alert-rules/abuse", rule).json()
    assert made["webhooks"][0].startswith("secret:")
    assert office.ask("GET", "/v1/alert-rules").json()["alert_rules"][0]["webhooks"] == made["webhooks"]
    assert office.ask("PUT", "/v1/alert-rules/abuse", {**rule, "webhooks": made["webhooks"]}).status_code == 200
    assert AlertRule.objects.get().webhooks == [url]


def test_what_is_still_used_is_not_deleted(office: Deployment) -> None:
    office.ask("PUT", "/v1/plans/pro", {"name": "Pro"})
    office.ask("PUT", "/v1/policies/pro-all", {"plan": "pro", **limits(5)})
    for number in range(7):
        rows.client(f"c{number}", plan=rows.Plan.objects.get(slug="pro"))
    refused = office.ask("DELETE", "/v1/plans/pro")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/still-used")
    named = ["policy “pro-all”", *(f"client “c{number}”" for number in range(5)), "2 more clients"]
    assert sorted(refused.json()["references"]) == sorted(named)
    assert office.ask("GET", "/v1/plans/pro").status_code == 200


def test_a_name_and_whom_an_object_applies_to_cannot_be_changed(office: Deployment) -> None:
    renamed = office.ask("PUT", "/v1/policies/all", {"slug": "other", **limits(5)})
    assert (renamed.status_code, list(renamed.json()["errors"])) == (400, ["slug"])
    assert office.ask("PUT", "/v1/policies/all", {"slug": "all", **limits(5)}).status_code == 200
    rows.client("other")
    made = office.ask("POST", "/v1/overrides", {"client": "acme", "policy": "all", **limits(2)}).json()["id"]
    moved = office.ask("PUT", f"/v1/overrides/{made}", {"client": "other", "policy": "all", **limits(2)})
    assert (moved.status_code, list(moved.json()["errors"])) == (400, ["client"])
    block = office.ask("POST", "/v1/blocks", {"client": "acme", "reason": "Fraud"}).json()["id"]
    moved = office.ask("PUT", f"/v1/blocks/{block}", {"prefix": "acme", "reason": "Fraud"})
    assert (moved.status_code, list(moved.json()["errors"])) == (400, ["client"])


def test_one_subject_has_one_block_which_is_renewed_when_it_has_ended(office: Deployment) -> None:
    body = {"client": "acme", "reason": "Fraud"}
    made = office.ask("POST", "/v1/blocks", body).json()["id"]
    again = office.ask("POST", "/v1/blocks", body)
    assert (again.status_code, again.json()["type"], again.json()["id"]) == (409, "/problems/already-exists", made)
    Block.objects.update(ends_at=timezone.now() - timedelta(hours=1))
    renewed = office.ask("POST", "/v1/blocks", body)
    assert (renewed.status_code, renewed.json()["id"], Block.objects.get().ends_at) == (201, made, None)


def test_overrides_of_one_client_do_not_overlap(office: Deployment) -> None:
    body = {"client": "acme", "policy": "all", **limits(2)}
    office.ask("POST", "/v1/overrides", body)
    again = office.ask("POST", "/v1/overrides", body | {"starts_at": "2126-01-01T00:00:00Z"})
    assert (again.status_code, list(again.json()["errors"])) == (400, ["starts_at"])
    of_all = {"clients": {"plan": "free"}, "policy": "all", **limits(2)}
    made = office.ask("POST", "/v1/overrides", of_all).json()["id"]
    same = office.ask("POST", "/v1/overrides", of_all)
    assert (same.status_code, same.json()["id"]) == (409, made)


def test_a_key_creates_one_object(office: Deployment) -> None:
    body = {"client": "acme", "policy": "all", **limits(2)}
    made = office.ask("POST", "/v1/overrides", body, idempotency_key="k1")
    again = office.ask("POST", "/v1/overrides", body, idempotency_key="k1")
    assert (again.status_code, again.json()) == (201, made.json())
    other = office.ask("POST", "/v1/overrides", body | limits(3), idempotency_key="k1")
    assert (other.status_code, other.json()["type"]) == (409, "/problems/idempotency-key-reused")
    office.ask("DELETE", f"/v1/overrides/{made.json()['id']}")
    assert office.ask("POST", "/v1/overrides", body, idempotency_key="k1").status_code == 404
    CreatingRequest.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert office.ask("POST", "/v1/overrides", body, idempotency_key="k1").status_code == 201
    CreatingRequest.objects.update(created_at=timezone.now() - timedelta(hours=25))
    remove_expired()
    assert not CreatingRequest.objects.exists()


def test_lists_are_paged_and_filtered(office: Deployment) -> None:
    for slug in ("a", "b", "c"):
        office.ask("PUT", f"/v1/policies/{slug}", {"plan": "free" if slug != "b" else None, **limits(5)})
    for prefix in ("a", "b"):
        office.ask("POST", "/v1/overrides", {"clients": {"prefix": prefix}, "policy": "all", **limits(2)})
    office.ask("POST", "/v1/overrides", {"client": "acme", "policy": "a", **limits(2)})

    def pages(address: str, section: str) -> list[list[Any]]:
        found = []
        while address:
            page = office.ask("GET", address).json()
            found.append(
                [item.get("slug") or item.get("client") or item["clients"]["prefix"] for item in page[section]]
            )
            address = page["next"]
        return found

    assert pages("/v1/policies?limit=2", "policies") == [["a", "all"], ["b", "c"]]
    assert pages("/v1/policies?limit=1&plan=free", "policies") == [["a"], ["c"]]
    assert pages("/v1/overrides?limit=1", "overrides") == [["acme"], ["a"], ["b"]]
    assert pages("/v1/overrides?client=acme", "overrides") == [["acme"]]
    assert pages("/v1/overrides?policy=all", "overrides") == [["a", "b"]]
    for query in ("limit=0", "after=%00", "sort=1", "plan=a&plan=b"):
        wrong = office.ask("GET", f"/v1/policies?{query}")
        assert (wrong.status_code, list(wrong.json()["errors"])) == (400, [query.partition("=")[0]])


@pytest.mark.parametrize("path", ["plans", "alert-rules", "overrides", "blocks"])
def test_unknown_and_impossible_names(office: Deployment, path: str) -> None:
    for key in ("%00", "A%20b", "x" * 300, "0", "99", "client-0", f"client-{2**70}", "segment-99"):
        assert office.ask("GET", f"/v1/{path}/{key}").status_code == 404
        assert office.ask("DELETE", f"/v1/{path}/{key}").status_code == 404


def test_each_kind_needs_its_scope(office: Deployment) -> None:
    for scope, allowed, forbidden in (
        (Scope.RULES, ["plans", "endpoints", "policies", "alert-rules"], ["overrides", "blocks"]),
        (Scope.CLIENTS, ["overrides", "blocks"], ["plans", "endpoints", "policies", "alert-rules"]),
    ):
        token = tokens.issue(name=scope.value, scopes=[scope])
        rules.record("tests")
        assert go_live().live
        assert {office.ask("GET", f"/v1/{path}", token=token).status_code for path in allowed} == {200}
        assert {office.ask("GET", f"/v1/{path}", token=token).status_code for path in forbidden} == {403}


def test_a_change_of_rules_awaits_approval_and_others_do_not(office: Deployment, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}
    waiting = office.ask("PUT", "/v1/policies/all", limits(20))
    assert (waiting.status_code, waiting.json()["live"]) == (202, False)
    found = waiting.json()["change"]
    assert (found["state"], found["author"]) == ("awaiting", "token office")
    assert found["differences"] == ["Policy all, limits: 10 per minute → 20 per minute."]
    assert quota(office) == 10

    of_segment = {"clients": {"prefix": "b"}, "policy": "all", **limits(30)}
    first = office.ask("POST", "/v1/overrides", of_segment, idempotency_key="k")
    again = office.ask("POST", "/v1/overrides", of_segment, idempotency_key="k")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["change"]["id"] == again.json()["change"]["id"]
    assert office.ask("DELETE", "/v1/policies/all").status_code == 202

    grace = User.objects.create(username="grace")
    change = ChangeSet.objects.get(pk=found["id"])
    approve(change, grace)
    publish(change, Actor("grace", grace, publishes_alone=True))
    go_live()
    assert quota(office) == 20
    made = office.ask("POST", "/v1/overrides", {"client": "acme", "policy": "all", **limits(40)})
    assert (made.status_code, quota(office)) == (201, 40)
    assert office.ask("POST", "/v1/blocks", {"client": "mallory", "reason": "Fraud"}).status_code == 201
    rule = {"metric": "throttled", "threshold": 5, "emails": ["ops@example.com"]}
    assert office.ask("PUT", "/v1/alert-rules/abuse", rule).status_code == 201

    ApiToken.objects.filter(name="office").update(scopes=[Scope.RULES, Scope.PUBLISH])
    assert office.ask("PUT", "/v1/plans/new", {"name": "New"}).status_code == 201


def test_an_object_that_would_make_others_invalid_is_refused(office: Deployment) -> None:
    office.ask("PUT", "/v1/endpoints/a", {"routes": ["GET /a"]})
    twice = office.ask("PUT", "/v1/endpoints/b", {"routes": ["GET /a"]})
    assert (twice.status_code, list(twice.json()["errors"])) == (400, ["routes[0]"])
    for body in ([], "x", {"routes": "\ud800"}):
        assert office.ask("PUT", "/v1/endpoints/b", body).status_code == 400


def test_without_redis_a_write_goes_live_later(settings: Settings, redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    deployment = begin(settings, server.url, "objects")
    assert quota(deployment) == 10
    server.kill()
    later = deployment.ask("PUT", "/v1/policies/all", limits(20))
    assert (later.status_code, later.json()["live"]) == (202, False)
    assert later.json()["detail"] == "Redis is unavailable; the change will go live automatically."
    assert Policy.objects.get().limits.get().quota == 20
