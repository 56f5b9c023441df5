"""Overrides of segments in the admin: the form, the review, the list."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from limits.models import Client, Plan, Policy, Publication, SegmentOverride
from limits.publishing import clients
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.admin.desk import Desk, Page
from tests.admin.test_policy_dates import labels
from tests.admin.test_saving import NEW_LIMIT
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

FRIDAY, SUNDAY = datetime(2126, 11, 29, tzinfo=UTC), datetime(2126, 12, 1, 23, 30, tzinfo=UTC)


def add(desk: Desk, **fields: Any) -> Page:
    return desk.add(SegmentOverride, **{"policy": Policy.objects.get(slug="all").pk} | NEW_LIMIT | fields)


def quota(client: str) -> int:
    return get_engine().check(CheckRequest(client), consume=False).limits[0].limit.quota


def cell(desk: Desk, column: str) -> list[str]:
    """The texts of a column of the list."""
    page = desk.list(SegmentOverride)
    admin = page.response.context["cl"].model_admin
    return [getattr(admin, column)(row) for row in page.response.context["cl"].result_list]


def test_limits_of_a_tag_are_raised_reviewed_published_and_live(desk: Desk, shop: Platform) -> None:
    for key in ("globex", "initech"):
        rows.client(key, tags=["wholesale"])
    assert clients.deliver().live
    page = desk.send(
        reverse("admin:limits_segmentoverride_add"),
        **NEW_LIMIT | {"limits__0__quota": "500"},
        whom="tags",
        tags="Wholesale",
        policy=Policy.objects.get().pk,
        reason="Black Friday",
    )
    assert page.is_review
    assert [str(change) for change in page.response.context["changes"]] == [
        "Override of all for clients with the tag wholesale added (limits: 500 per minute)."
    ]
    assert "Affects 2 registered clients." in page.text
    assert not SegmentOverride.objects.exists()
    page = desk.confirm(page, "Black Friday.")
    assert "Version 2 is live on every server." in page.messages
    assert [quota(key) for key in ("globex", "initech", "acme")] == [500, 500, 100]
    row = SegmentOverride.objects.get()
    assert (row.reason, row.created_by.username) == ("Black Friday", "ada")  # type: ignore[union-attr]
    assert row.history.get().history_change_reason == "Black Friday."
    assert Publication.objects.latest("sequence").reason == "Black Friday."


@pytest.mark.parametrize(
    ("fields", "segment"),
    [
        ({"whom": "tags", "tags": "wholesale, EU", "prefix": "x"}, "clients with the tags eu and wholesale"),
        ({"whom": "prefix", "prefix": "acme-", "tags": "Größe"}, "clients whose key begins with “acme-”"),
        ({"whom": "plan", "prefix": "x", "tags": "x"}, "clients on plan free"),
    ],
)
def test_only_the_answer_to_whom_it_is_for_is_saved(
    desk: Desk, shop: Platform, fields: dict[str, str], segment: str
) -> None:
    page = add(desk, **fields | {"plan": Plan.objects.get().pk})
    assert "Version 2 is live on every server." in page.messages
    assert str(SegmentOverride.objects.get().segment) == segment


def test_an_override_may_be_for_another_segment_later(desk: Desk, shop: Platform) -> None:
    """Fields that the form hides are not submitted."""
    row = rows.segment_override(Policy.objects.get(), tags=["wholesale"])
    desk.change(row, whom="plan", plan=Plan.objects.get().pk, tags=None, prefix=None)
    row.refresh_from_db()
    assert str(row.segment) == "clients on plan free"


@pytest.mark.parametrize(
    ("segment", "whom"), [({"tags": ["a"]}, "tags"), ({"prefix": "a"}, "prefix"), ({"plan": "free"}, "plan")]
)
def test_the_form_shows_whom_an_override_is_for(desk: Desk, shop: Platform, segment: dict[str, Any], whom: str) -> None:
    if "plan" in segment:
        segment = {"plan": Plan.objects.get(slug=segment["plan"])}
    row = rows.segment_override(Policy.objects.get(), **segment)
    assert desk.open(reverse("admin:limits_segmentoverride_change", args=[row.pk])).fields["whom"] == whom


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"whom": "tags"}, {"tags": ["Enter at least one tag."]}),
        ({"whom": "plan"}, {"plan": ["Choose a plan."]}),
        ({"whom": "prefix"}, {"prefix": ["Enter the beginning of the keys."]}),
        (
            {"whom": "tags", "tags": "Größe"},
            {"tags": ["Each tag must consist of lowercase letters, digits and hyphens, such as “free-search”."]},
        ),
        ({"whom": "prefix", "prefix": "a\tb"}, {"prefix": ["Must not contain control characters."]}),
        ({"tags": "a", "policy": ""}, {"policy": ["This field is required."]}),
        ({"tags": "a", "limits__0__quota": ""}, {"limits-0-quota": ["This field is required."]}),
        ({"tags": "a", "starts_at_1": "10:00"}, {"starts_at": ["Enter a complete value."]}),
        (
            {"tags": "a", "starts_at_0": "2126-11-30", "ends_at_0": "2126-11-27"},
            {"ends_at": ["The end must be after the start."]},
        ),
    ],
)
def test_invalid_input_is_reported_at_its_field(
    desk: Desk, shop: Platform, fields: dict[str, str], errors: dict[str, list[str]]
) -> None:
    assert add(desk, **fields).errors == errors
    assert not SegmentOverride.objects.exists()


def test_a_global_policy_is_not_offered(desk: Desk, shop: Platform) -> None:
    row = rows.policy("ocean", partition="global")
    assert "policy" in add(desk, tags="a", policy=row.pk).errors


def test_a_second_override_with_the_same_start_is_rejected(desk: Desk, shop: Platform) -> None:
    rows.segment_override(Policy.objects.get(), tags=["wholesale"])
    page = add(desk, tags="wholesale")
    assert page.errors == {"__all__": ["There is already an override of this policy for this segment and start."]}


def test_a_date_without_a_time_is_midnight(desk: Desk, shop: Platform) -> None:
    add(desk, tags="a", starts_at_0="2126-11-29", ends_at_0="2126-12-01", ends_at_1="23:30")
    row = SegmentOverride.objects.get()
    assert (row.starts_at, row.ends_at) == (FRIDAY, SUNDAY)


@pytest.mark.parametrize("tags", ["wholesale", "eu wholesale", "Größe"])
def test_the_url_may_fill_in_tags(desk: Desk, shop: Platform, tags: str) -> None:
    page = desk.open(reverse("admin:limits_segmentoverride_add"), tags=tags)
    assert (page.fields["whom"], page.fields["tags"]) == ("tags", tags)


def test_a_deletion_is_reviewed_and_live(desk: Desk, shop: Platform) -> None:
    add(desk, whom="prefix", prefix="acme", limits__0__quota="500")
    assert quota("acme-1") == 500
    row = SegmentOverride.objects.get()
    page = desk.delete(row)
    assert "Version 3 is live on every server." in page.messages
    assert quota("acme-1") == 100


def test_the_list_describes_each_override(desk: Desk, shop: Platform) -> None:
    for number in range(3):
        rows.client(f"shop-{number}", tags=["eu", "wholesale"])
    policy = Policy.objects.get()
    rows.segment_override(policy, tags=["eu", "wholesale"], reason="Black Friday")
    rows.segment_override(policy, tags=["retail"])
    rows.segment_override(policy, prefix="shop-1")
    rows.segment_override(policy, plan=Plan.objects.get())
    text = desk.list(SegmentOverride).text
    assert [
        words
        for words in ("500 per minute", "Black Friday", "Clients with the tags eu and wholesale")
        if words not in text
    ] == []
    assert cell(desk, "clients") == ["3", "0", "1", "4"]


@pytest.mark.parametrize(
    ("dates", "state"),
    [
        ({"starts_at": FRIDAY}, "scheduled"),
        ({"ends_at": FRIDAY}, "active"),
        ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, "ended"),
    ],
)
def test_the_list_shows_the_state(desk: Desk, shop: Platform, dates: dict[str, Any], state: str) -> None:
    rows.segment_override(Policy.objects.get(), tags=["a"], **dates)
    assert labels(desk.list(SegmentOverride).text.split("result_list", 1)[1]) == [state]


def test_an_override_that_applies_to_nobody_is_saved_with_a_warning(desk: Desk, shop: Platform) -> None:
    policy = rows.policy("pro-only", plan=rows.plan("pro"))
    page = add(desk, whom="plan", plan=Plan.objects.get(slug="free").pk, policy=policy.pk)
    assert "The override does not apply now: the policy is for Pro." in page.messages
    assert cell(desk, "state")[0][1] == "the policy is for Pro"
    Policy.objects.filter(pk=policy.pk).update(mode="disabled")
    assert cell(desk, "state")[0][1] == "the policy “pro-only” is disabled"


def test_the_list_is_filtered_by_policy_and_searched(desk: Desk, shop: Platform) -> None:
    first, second = Policy.objects.get(), rows.policy("search")
    rows.segment_override(first, tags=["wholesale"])
    rows.segment_override(second, prefix="acme-", reason="Christmas")
    for query, found in (
        ({"policy__id__exact": str(second.pk)}, ["acme-"]),
        ({"q": "whole"}, [""]),
        ({"q": "acme"}, ["acme-"]),
        ({"q": "christ"}, ["acme-"]),
        ({"q": "nothing"}, []),
    ):
        assert [row.prefix for row in desk.list(SegmentOverride, **query).response.context["cl"].result_list] == found


def test_the_number_of_queries_of_the_list_does_not_depend_on_its_length(desk: Desk, shop: Platform) -> None:
    policy = Policy.objects.get()
    rows.segment_override(policy, tags=["wholesale"])
    desk.list(SegmentOverride)
    with CaptureQueriesContext(connection) as few:
        desk.list(SegmentOverride)
    for number in range(20):
        rows.segment_override(policy, plan=rows.plan(f"plan-{number}"))
        rows.segment_override(policy, prefix=f"prefix-{number}")
    with CaptureQueriesContext(connection) as many:
        desk.list(SegmentOverride)
    assert len(many) == len(few)


def test_the_history_shows_limits_and_segments(desk: Desk, shop: Platform) -> None:
    add(desk, tags="wholesale")
    row = SegmentOverride.objects.get()
    desk.change(row, tags="wholesale eu", limits__0__quota="700")
    entries = desk.open(reverse("admin:limits_segmentoverride_history", args=[row.pk])).response.context["entries"]
    assert {change for entry in entries for change in entry.changes} == {
        ("tags", "wholesale", "eu, wholesale"),
        ("quota", "100", "700"),
    }


def test_a_policy_and_a_plan_with_an_override_of_a_segment_are_not_deleted(desk: Desk, shop: Platform) -> None:
    policy = rows.policy("search")
    rows.segment_override(policy, tags=["wholesale"])
    page = desk.act("delete_selected", policy)
    assert any(
        "Still in use by segment override “clients with the tag wholesale on search”" in text for text in page.messages
    )


def test_without_clients_the_list_is_shown(desk: Desk, shop: Platform) -> None:
    Client.objects.all().delete()
    rows.segment_override(Policy.objects.get(), tags=["wholesale"])
    assert cell(desk, "clients") == ["0"]
