"""Parents of clients over HTTP: written, listed, rejected; and the limits of ancestors in checks and in usage."""

from typing import Any

import pytest
from pytest_django import Settings

from limits.models import Client, Plan, Policy
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from tests.api.test_client_tags import keys
from tests.api.test_clients import Manager, begin
from tests.models import rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def manager(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> Manager:
    """The plan pro has a limit of 5 requests of its own; every client has 3."""
    manager = begin(settings, redis_url, f"parents-{abs(hash(request.node.nodeid))}")
    rows.policy("shared", quota=5, plan=Plan.objects.get(slug="pro"))
    rules.record("tests")
    assert go_live().live
    assert manager.client("PUT", "org", {"plan": "pro"}).status_code == 201
    assert manager.client("PUT", "team", {"parent": "org"}).status_code == 201
    return manager


def test_a_parent_is_written_and_read_and_applies_to_the_next_check(manager: Manager) -> None:
    made = manager.client("PUT", "key", {"parent": "team"})
    assert (made.status_code, made.json()["parent"], made.json()["live"]) == (201, "team", True)
    assert manager.client("GET", "key").json()["parent"] == "team"
    answer = manager.decision("key")
    limits = {limit["name"]: limit["client"] for limit in answer["limits"]}
    assert limits == {"all:60s": "key", "shared:60s~2": "org"}
    assert (answer["client"], answer["plan"]) == ("key", None)
    assert manager.client("PATCH", "key", {"parent": None}).json()["parent"] is None
    assert [limit["name"] for limit in manager.decision("key")["limits"]] == ["all:60s"]


def test_put_without_a_parent_removes_it_and_patch_keeps_it(manager: Manager) -> None:
    assert manager.client("PATCH", "team", {"name": "Team"}).json()["parent"] == "org"
    assert manager.client("PUT", "team", {"name": "Team"}).json()["parent"] is None


def test_all_clients_of_an_organisation_share_a_quota(manager: Manager) -> None:
    for key in ("a", "b"):
        manager.client("PUT", key, {"parent": "org"})
    asked = ["a", "b", "a", "b", "a", "b", "team"]
    assert [manager.decision(key)["allowed"] for key in asked] == [True] * 5 + [False] * 2
    denied = manager.ask("POST", "/v1/check", {"client": "b", "endpoint": "any"}, token=manager.check)
    assert (denied.status_code, denied.json()["violated-policies"]) == (429, ["shared:60s~1"])
    assert denied["RateLimit-Policy"] == '"all:60s";q=3;w=60, "shared:60s~1";q=5;w=60'


def test_usage_shows_own_and_inherited_limits(manager: Manager) -> None:
    manager.decision("team")
    assert usage(manager, "team") == {("all:60s", "team"): 2, ("shared:60s~1", "org"): 4}
    assert usage(manager, "org") == {("all:60s", "org"): 3, ("shared:60s", "org"): 4}


def usage(manager: Manager, key: str) -> dict[tuple[str, str], int]:
    """(name, client) → what remains."""
    found = manager.ask("GET", f"/v1/usage?client={key}", token=manager.check).json()
    return {(limit["name"], limit["client"]): limit["remaining"] for limit in found["limits"]}


@pytest.mark.parametrize(
    ("key", "parent", "message"),
    [
        ("team", "nobody", "There is no client “nobody”."),
        ("team", "team", "The client would be below itself (team → team)."),
        ("org", "team", "The client would be below itself (org → team → org)."),
        ("new", "four", "There would be more than 4 levels (new → four → three → team → org)."),
        ("team", 5, "must be the key of a client, or null."),
        ("team", "", "must have 1 to 256 characters."),
        ("team", "a\n", "must not contain control characters."),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_wrong_parent_is_reported_and_changes_nothing(
    manager: Manager, method: str, key: str, parent: Any, message: str
) -> None:
    manager.client("PUT", "three", {"parent": "team"})
    manager.client("PUT", "four", {"parent": "three"})
    rows.client("new") if key == "new" else None
    before = dict(Client.objects.values_list("key", "parent__key"))
    response = manager.client(method, key, {"parent": parent})
    assert (response.status_code, response.json()["errors"]) == (400, {"parent": [message]})
    assert dict(Client.objects.values_list("key", "parent__key")) == before


def test_levels_below_a_client_count_too(manager: Manager) -> None:
    manager.client("PUT", "three", {"parent": "team"})
    manager.client("PUT", "top", {})
    manager.client("PUT", "above", {"parent": "top"})
    response = manager.client("PATCH", "org", {"parent": "above"})
    message = "There would be more than 4 levels (three → team → org → above → top)."
    assert response.json()["errors"] == {"parent": [message]}


def test_the_list_is_filtered_by_the_parent(manager: Manager) -> None:
    for key in ("a", "b", "c"):
        manager.client("PUT", key, {"parent": "team"})
    assert keys(manager, "parent=team&limit=2") == ["a", "b", "c"]
    assert keys(manager, "parent=org") == ["team"]
    assert keys(manager, "parent=nobody") == []


def test_a_parent_cannot_be_removed_before_its_children(manager: Manager) -> None:
    response = manager.client("DELETE", "org")
    assert (response.status_code, response.json()["type"]) == (409, "/problems/has-children")
    assert response.json()["detail"] == "“org” is the parent of 1 client."
    assert manager.client("DELETE", "team").status_code == 204
    assert manager.client("DELETE", "org").status_code == 204
    assert not Client.objects.exists()
    assert Policy.objects.count() == 2


def test_a_blocked_organisation_blocks_its_clients(manager: Manager) -> None:
    manager.client("PATCH", "org", {"status": "blocked"})
    response = manager.ask("POST", "/v1/check", {"client": "team", "endpoint": "any"}, token=manager.check)
    assert (response.status_code, response.json()["type"]) == (403, "/problems/client-blocked")
