"""The history of the rules over HTTP: read, restored, and reverted."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from limits.models import ApiToken, ChangeSet, Publication
from tests.api.test_changes import DIFFERENCE, RAISED, Deployment, deployment, with_approval

__all__ = ["deployment", "with_approval"]
pytestmark = pytest.mark.django_db(transaction=True)


def patch(deployment: Deployment, config: Any, **headers: str) -> None:
    assert deployment.ask("PATCH", "/v1/config", config, **headers).status_code == 200


def limits(slug: str, quota: int, **fields: Any) -> dict[str, Any]:
    return {"policies": [{"slug": slug, "limits": [{"quota": quota, "window": 60}]} | fields]}


def act(deployment: Deployment, version: int, action: str, body: Any = None, query: str = "", **more: Any) -> Any:
    return deployment.ask("POST", f"/v1/publications/{version}/{action}{query}", body, **more)


def test_publications_are_listed_in_pages_and_read(deployment: Deployment) -> None:
    change = deployment.prepare().json()["id"]
    deployment.act(change, "publish")
    patch(deployment, limits("all", 30))
    first = deployment.ask("GET", "/v1/publications?limit=2").json()
    assert [row["version"] for row in first["publications"]] == [3, 2]
    assert first["next"] == "/v1/publications?limit=2&after=2"
    last = deployment.ask("GET", first["next"]).json()
    assert ([row["version"] for row in last["publications"]], last["next"]) == ([1], None)
    one = deployment.ask("GET", "/v1/publications/2").json()
    assert one == first["publications"][1]
    created, live = one.pop("created_at"), one.pop("live_at")
    assert created <= live
    assert one == {
        "version": 2,
        "state": "live",
        "author": "token deploy",
        "reason": "Change set “Sale”.",
        "differences": [DIFFERENCE],
        "change": change,
    }


def test_a_version_is_restored(deployment: Deployment) -> None:
    patch(deployment, RAISED)
    patch(deployment, limits("new", 1))
    tried = act(deployment, 1, "restore", {}, "?dry_run=1").json()
    differences = ["Policy new removed.", "Policy all, limits: 20 per minute → 10 per minute."]
    assert tried == {"dry_run": True, "version": 3, "differences": differences}
    restored = act(deployment, 1, "restore", {"reason": "It was better."})
    assert (restored.status_code, restored.json()) == (200, {"live": True, "version": 4, "differences": differences})
    assert deployment.quota() == (10, None)
    published = Publication.objects.get(sequence=4)
    assert (published.author, published.reason) == ("token deploy", "It was better.")
    again = act(deployment, 1, "restore")
    assert (again.status_code, again.json()) == (200, {"live": True, "version": 4, "differences": []})


def test_what_is_in_use_by_now_is_not_removed_by_a_restore(deployment: Deployment) -> None:
    patch(deployment, {"plans": [{"slug": "pro"}]})
    patch(deployment, {"clients": [{"key": "acme", "plan": "pro"}]})
    response = act(deployment, 1, "restore")
    assert (response.status_code, response.json()["type"]) == (409, "/problems/publication-conflict")
    assert list(response.json()["errors"]) == ["plans"]


def test_only_what_a_version_changed_is_reverted(deployment: Deployment) -> None:
    patch(deployment, RAISED)
    patch(deployment, limits("new", 1, mode="shadow"))
    reverted = act(deployment, 2, "revert", {"reason": "Too much."})
    assert (reverted.status_code, reverted.json()) == (
        200,
        {"live": True, "version": 4, "differences": ["Policy all, limits: 20 per minute → 10 per minute."]},
    )
    assert deployment.quota() == (10, None)
    assert act(deployment, 2, "revert").json() == {"live": True, "version": 4, "differences": []}


def test_a_conflict_of_a_revert_names_the_field(deployment: Deployment) -> None:
    patch(deployment, RAISED)
    patch(deployment, limits("all", 30))
    response = act(deployment, 2, "revert")
    assert (response.status_code, response.json()["type"]) == (409, "/problems/publication-conflict")
    assert response.json()["conflicts"] == [
        {"path": "policies.all.limits.60s.quota", "before": 20, "after": 10, "found": 30}
    ]
    assert deployment.quota() == (30, None)


def test_there_may_be_nothing_to_revert(deployment: Deployment) -> None:
    patch(deployment, {"blocks": [{"client": "bad", "reason": "Abuse."}]})
    response = act(deployment, 2, "revert")
    assert (response.status_code, response.json()["type"]) == (409, "/problems/nothing-to-revert")


@pytest.mark.parametrize("action", ["restore", "revert"])
def test_both_need_approval_of_another_than_the_creator_of_the_token(with_approval: Deployment, action: str) -> None:
    ann = User.objects.create_user("ann")
    ApiToken.objects.filter(name="deploy").update(created_by=ann)
    patch(with_approval, RAISED, token=with_approval.publisher)
    waits = act(with_approval, 2 if action == "revert" else 1, action)
    assert (waits.status_code, waits.json()["live"], waits.json()["change"]["state"]) == (202, False, "awaiting")
    assert (ChangeSet.objects.get().user, with_approval.quota()) == (ann, (20, None))
    alone = act(with_approval, 1, "restore", token=with_approval.publisher)
    assert (alone.status_code, with_approval.quota()) == (200, (10, None))


@pytest.mark.parametrize(
    ("path", "status", "type_"),
    [
        ("9", 404, "not-found"),
        (f"{10**30}", 404, "not-found"),
        ("9/restore", 404, "not-found"),
        ("1/approve", 404, "not-found"),
        ("1/restore?x=1", 400, "invalid-request"),
    ],
)
def test_unknown_versions_and_parameters(deployment: Deployment, path: str, status: int, type_: str) -> None:
    response = deployment.ask("POST" if "/" in path else "GET", f"/v1/publications/{path}", {} if "/" in path else None)
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{type_}")


@pytest.mark.parametrize("query", ["limit=0", "after=x", "after=0", "sort=1", "limit=1&limit=2"])
def test_invalid_parameters_of_the_list(deployment: Deployment, query: str) -> None:
    response = deployment.ask("GET", f"/v1/publications?{query}")
    assert (response.status_code, list(response.json()["errors"])) == (400, [query.partition("=")[0]])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/1"), ("POST", "/1/restore"), ("POST", "/1/revert")]
)
def test_a_token_without_the_scope(deployment: Deployment, method: str, path: str) -> None:
    response = deployment.ask(method, f"/v1/publications{path}", {}, token=deployment.check)
    assert (response.status_code, response.json()["type"]) == (403, "/problems/insufficient-scope")


def test_a_repeated_request_with_a_key_is_carried_out_once(deployment: Deployment) -> None:
    patch(deployment, RAISED)
    first = act(deployment, 1, "restore", idempotency_key="r-1")
    patch(deployment, RAISED)
    again = act(deployment, 1, "restore", idempotency_key="r-1")
    assert (first.json()["version"], again.json()) == (3, first.json())
    assert deployment.quota() == (20, None)
    other = act(deployment, 1, "revert", idempotency_key="r-1")
    assert (other.status_code, other.json()["type"]) == (409, "/problems/idempotency-key-reused")
