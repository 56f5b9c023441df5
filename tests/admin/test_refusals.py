"""Invalid input is reported on the form at its field, and nothing is changed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from limits.models import Client, Endpoint, Override, Plan, Policy, PolicyLimit, Publication
from tests.admin.desk import Desk
from tests.admin.test_saving import NEW_LIMIT
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_is_published(shop: Platform) -> Any:
    yield
    assert shop.sequence == 1
    assert Publication.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"limits__0__quota": "-1"}, "limits-0-quota", "greater than or equal to 0"),
        ({"limits__0__quota": "1000000001"}, "limits-0-quota", "between 0 and 1,000,000,000"),
        ({"limits__0__quota": "ten"}, "limits-0-quota", "whole number"),
        ({"limits__0__window_0": ""}, "limits-0-window", "Enter the length of the window"),
        ({"limits__0__window_0": "0"}, "limits-0-window", "between 1 second and 366 days"),
        ({"limits__0__burst": "5"}, "limits-0-burst", "token bucket"),
        ({"limits__0__algorithm": "calendar", "limits__0__window_0": ""}, "limits-0-period", "required for a calendar"),
        ({"limits__0__period": "day"}, "limits-0-period", "calendar limits only"),
        ({"partition": "everybody"}, "partition", "not one of the available choices"),
        ({"limits__0__DELETE": "on"}, "limits", "Add at least one limit."),
    ],
)
def test_an_invalid_limit_is_reported_at_its_field(
    desk: Desk, changes: dict[str, str], field: str, message: str
) -> None:
    page = desk.change(Policy.objects.get(), **changes)
    assert list(page.errors) == [field]
    assert message in page.errors[field][0]
    assert PolicyLimit.objects.get().quota == 100


def test_a_second_limit_with_the_same_name_is_reported_at_its_window(desk: Desk) -> None:
    second = {
        "limits__1__quota": "5",
        "limits__1__window_0": "60",
        "limits__1__window_1": "1",
        "limits__1__algorithm": "sliding_window",
    }
    page = desk.change(Policy.objects.get(), limits__TOTAL_FORMS="2", **second)
    assert list(page.errors) == ["limits-1-window"]
    assert PolicyLimit.objects.count() == 1


@pytest.mark.parametrize(
    ("slug", "message"), [("Free Search", "lowercase letters"), ("ü", "lowercase letters"), ("all", "already exists")]
)
def test_an_invalid_slug_is_rejected(desk: Desk, slug: str, message: str) -> None:
    page = desk.add(Policy, slug=slug, **NEW_LIMIT)
    assert message in page.errors["slug"][0]


def test_a_saved_slug_is_not_a_field(desk: Desk) -> None:
    desk.change(Policy.objects.get(), slug="other")
    assert Policy.objects.get().slug == "all"


@pytest.mark.parametrize("path", ["", "no-slash", "/a/*/b", "/{}"])
def test_an_invalid_route_is_reported_at_its_path(desk: Desk, path: str) -> None:
    route = {"routes__TOTAL_FORMS": "1", "routes__0__method": "POST", "routes__0__path": path}
    page = desk.add(Endpoint, name="Search", slug="search", cost="1", **route)
    assert list(page.errors) == ["routes-0-path"]
    assert not Endpoint.objects.exists()


def test_a_pattern_of_another_endpoint_is_reported_at_its_path(desk: Desk) -> None:
    rows.endpoint("search", "GET /search/{id}")
    route = {"routes__TOTAL_FORMS": "1", "routes__0__method": "GET", "routes__0__path": "/search/{name}"}
    page = desk.add(Endpoint, name="Find", slug="find", cost="1", **route)
    assert "Search" in page.errors["routes-0-path"][0]
    assert not Endpoint.objects.filter(slug="find").exists()


def test_a_duplicate_pattern_in_one_form_is_reported_at_the_second(desk: Desk) -> None:
    routes = {f"routes__{at}__{name}": value for at in (0, 1) for name, value in (("method", "GET"), ("path", "/a"))}
    page = desk.add(Endpoint, name="Find", slug="find", cost="1", routes__TOTAL_FORMS="2", **routes)
    assert list(page.errors) == ["routes-1-path"]


def test_the_default_plan_cannot_be_unset(desk: Desk) -> None:
    page = desk.change(Plan.objects.get(), is_default=None)
    assert "One plan must be the default" in page.errors["is_default"][0]
    assert Plan.objects.get().is_default


def test_the_default_plan_cannot_be_deleted(desk: Desk) -> None:
    rows.plan("pro")
    page = desk.delete(Plan.objects.get(slug="free"))
    assert "Nothing was changed" in "".join(page.messages)
    page = desk.act("delete_selected", Plan.objects.get(slug="free"))
    assert "Nothing was changed" in "".join(page.messages)
    assert Plan.objects.filter(slug="free").exists()


def test_a_policy_in_use_cannot_be_deleted(desk: Desk) -> None:
    policy = Policy.objects.get()
    rows.override_limit(rows.override(Client.objects.get(), policy))
    desk.delete(policy)
    assert Policy.objects.filter(pk=policy.pk).exists()


@pytest.mark.parametrize(("key", "message"), [("", "required"), ("a\tb", "control characters"), ("acme", "exists")])
def test_an_invalid_client_key_is_rejected(desk: Desk, key: str, message: str) -> None:
    page = desk.add(Client, key=key, status="active")
    assert message in page.errors["key"][0]


def test_an_override_that_ends_before_it_starts_is_rejected(desk: Desk) -> None:
    times = {"starts_at_0": "2026-12-24", "starts_at_1": "00:00", "ends_at_0": "2026-12-01", "ends_at_1": "00:00"}
    page = desk.add(Override, client=Client.objects.get().pk, policy=Policy.objects.get().pk, **times, **NEW_LIMIT)
    assert page.errors == {"ends_at": ["The end must be after the start."]}


def test_an_override_without_limits_is_rejected(desk: Desk) -> None:
    page = desk.add(Override, client=Client.objects.get().pk, policy=Policy.objects.get().pk, limits__TOTAL_FORMS="0")
    assert page.errors["limits"] == ["Add at least one limit."]


def test_an_overlapping_override_is_rejected(desk: Desk) -> None:
    client, policy = Client.objects.get(), Policy.objects.get()
    rows.override_limit(rows.override(client, policy, ends_at=datetime(2030, 1, 31, tzinfo=UTC)))
    page = desk.add(Override, client=client.pk, policy=policy.pk, **NEW_LIMIT)
    message = "Overlaps another override of this client and policy (“all”: no start, until 31 Jan 2030, 00:00 UTC)."
    assert page.errors == {"starts_at": [message]}


def test_problems_found_only_by_the_compiler_are_shown_on_the_form(desk: Desk) -> None:
    """In this case a row that this form does not contain, written without a form."""
    PolicyLimit.objects.filter(policy=rows.policy("other")).delete()
    page = desk.change(Policy.objects.get(slug="all"), name="A new name")
    message = "policies other, limits: Must have at least one limit."
    assert page.errors == {"__all__": [message]}
    assert Policy.objects.get(slug="all").name == ""
