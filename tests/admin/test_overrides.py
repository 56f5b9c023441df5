"""Overrides in the admin: overlaps of the same client and policy are reported, others are permitted."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse

from limits.admin.client_page import available_again
from limits.admin.quick_overrides import scaled
from limits.models import Client, Override, Policy, PolicyLimit
from ratelimit_enforcer.domain.decision import states_of
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.sliding_window import NEVER
from tests.admin.desk import Desk, Page
from tests.admin.test_saving import NEW_LIMIT
from tests.models import rows
from tests.publishing.platforms import Platform
from tests.support.deciding import policy

pytestmark = pytest.mark.django_db(transaction=True)

JANUARY, FEBRUARY, MARCH, APRIL = (datetime(2030, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4))


def override(client: Client, policy: Policy, **times: Any) -> Override:
    row = rows.override(client, policy, **times)
    rows.override_limit(row)
    return row


def typed(starts: datetime, ends: datetime, at: int) -> dict[str, str]:
    """Form data with the times of one override on the page of its client."""
    moments = {"starts_at": starts, "ends_at": ends}
    parts = {f"overrides__{at}__{name}_0": f"{moment:%F}" for name, moment in moments.items()}
    return parts | {f"overrides__{at}__{name}_1": f"{moment:%T}" for name, moment in moments.items()}


@pytest.fixture
def acme(shop: Platform) -> Client:
    return Client.objects.get(key="acme")


def test_a_client_with_two_overrides_can_be_renamed(desk: Desk, acme: Client) -> None:
    override(acme, Policy.objects.get())
    override(acme, rows.policy("orders"))
    page = desk.change(acme, name="Acme Ltd")
    acme.refresh_from_db()
    assert acme.name == "Acme Ltd", page.text


def test_an_override_may_overlap_with_one_of_another_client(desk: Desk, acme: Client) -> None:
    override(rows.client("globex"), Policy.objects.get())
    desk.add(Override, client=acme.pk, policy=Policy.objects.get().pk, **NEW_LIMIT)
    assert Override.objects.filter(client=acme).exists()


def test_an_override_can_replace_one_deleted_in_the_same_save(desk: Desk, acme: Client) -> None:
    first = override(acme, Policy.objects.get(), starts_at=JANUARY, ends_at=FEBRUARY)
    second = override(acme, Policy.objects.get(), starts_at=MARCH, ends_at=APRIL)
    page = desk.change(acme, overrides__0__DELETE="on", **typed(JANUARY, APRIL, at=1))
    assert [(row.pk, row.starts_at) for row in Override.objects.all()] == [(second.pk, JANUARY)], page.text
    assert not Override.objects.filter(pk=first.pk).exists()


def test_overlapping_overrides_on_a_page_are_reported_at_the_second(desk: Desk, acme: Client) -> None:
    override(acme, Policy.objects.get(), starts_at=JANUARY, ends_at=FEBRUARY)
    override(acme, Policy.objects.get(), starts_at=MARCH, ends_at=APRIL)
    page = desk.change(acme, **typed(JANUARY, APRIL, at=1))
    assert list(page.errors) == ["overrides-1-starts_at"]
    assert "until 1 Feb 2030, 00:00 UTC" in page.errors["overrides-1-starts_at"][0]


def test_an_override_added_concurrently_is_reported_as_an_overlap(desk: Desk, acme: Client) -> None:
    """The form does not contain it, so the database is checked."""
    override(acme, Policy.objects.get(), starts_at=JANUARY, ends_at=FEBRUARY)
    path = reverse("admin:limits_client_change", args=[acme.pk])
    fields = desk.open(path).fields | {key.replace("__", "-"): value for key, value in typed(MARCH, APRIL, 0).items()}
    override(acme, Policy.objects.get(), starts_at=MARCH, ends_at=APRIL)
    page = Page(desk.client.post(path, fields))
    assert list(page.errors) == ["overrides-0-starts_at"]


def test_a_conflict_detected_only_by_the_database_is_shown_on_the_form(desk: Desk, acme: Client) -> None:
    """Two overrides that swap their times: each would be valid only after the other one has changed."""
    override(acme, Policy.objects.get(), starts_at=JANUARY, ends_at=FEBRUARY)
    override(acme, Policy.objects.get(), starts_at=MARCH, ends_at=APRIL)
    page = desk.change(acme, **typed(MARCH, APRIL, at=0), **typed(JANUARY, FEBRUARY, at=1))
    assert "conflicts with saved data" in page.errors["__all__"][0]
    assert [row.starts_at for row in Override.objects.order_by("pk")] == [JANUARY, MARCH]


def test_a_limit_added_concurrently_is_reported_on_the_form(desk: Desk, shop: Platform) -> None:
    policy = Policy.objects.get()
    path = reverse("admin:limits_policy_change", args=[policy.pk])
    more = {"limits-TOTAL_FORMS": "2", "limits-1-quota": "9", "limits-1-window_0": "1", "limits-1-window_1": "3600"}
    fields = desk.open(path).fields | more | {"limits-1-algorithm": "sliding_window"}
    rows.limit(policy, quota=5, window=3_600)
    page = Page(desk.client.post(path, fields))
    assert "conflicts with saved data" in page.errors["__all__"][0]
    assert PolicyLimit.objects.count() == 2


def test_all_errors_are_listed_at_the_top_with_links_to_their_fields(desk: Desk, acme: Client) -> None:
    override(acme, Policy.objects.get())
    page = desk.change(acme, overrides__0__limits__0__quota="ten", name="a\tb")
    summary = page.text.split('id="error-summary"')[1].split("</div>")[0]
    assert "correct these 2 errors" in summary
    assert '<a href="#id_name">Name</a>: Must not contain control characters.' in summary
    assert '<a href="#id_overrides-0-limits-0-quota">Override 1, limit 1, quota</a>: Enter a whole number.' in summary
    for anchor in ("id_name", "id_overrides-0-limits-0-quota"):
        assert f'id="{anchor}"' in page.text


def test_an_override_for_a_policy_of_another_plan_is_saved_with_a_warning(desk: Desk, acme: Client) -> None:
    """Permitted, because the client may move to that plan later."""
    policy = rows.policy("pro-search", plan=rows.plan("pro"))
    page = desk.add(Override, client=acme.pk, policy=policy.pk, **NEW_LIMIT)
    reason = "“acme” is on the default plan, but the policy is for Pro"
    assert f"The override of “pro-search” was saved, but does not apply now: {reason}." in page.messages
    assert reason in desk.list(Override).text
    assert f"without effect: {reason}" in desk.open(reverse("admin:limits_client_change", args=[acme.pk])).text


def test_changing_the_plan_of_a_client_warns_about_overrides_that_no_longer_apply(desk: Desk, acme: Client) -> None:
    pro = rows.plan("pro")
    Client.objects.update(plan=pro)
    override(acme, rows.policy("pro-search", plan=pro))
    assert not [message for message in desk.change(acme, name="Acme").messages if "does not apply" in message]
    page = desk.change(acme, plan="")
    assert [message for message in page.messages if "pro-search" in message and "does not apply now" in message]


@pytest.mark.parametrize(
    ("times", "policy", "word"),
    [
        ({}, {}, "active"),
        ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, {}, "ended"),
        ({"starts_at": datetime(2099, 1, 1, tzinfo=UTC)}, {}, "scheduled"),
        ({}, {"mode": "disabled"}, "without effect"),
    ],
)
def test_the_list_shows_whether_an_override_applies(
    desk: Desk, acme: Client, times: Any, policy: Any, word: str
) -> None:
    override(acme, rows.policy("search", **policy), **times)
    text = desk.list(Override).text
    assert re.findall(r"(?s)whitespace-nowrap[^>]*>\s*([^<]+?)\s*</span>", text.split("result_list", 1)[1]) == [word]
    assert ("the policy “search” is disabled" in text) is (word == "without effect")


def test_raising_limits_temporarily_is_offered_only_where_possible(desk: Desk, acme: Client) -> None:
    """Not for a policy that has an override at that time, is disabled, or has a quota of zero."""
    override(acme, Policy.objects.get(slug="all"))
    rows.policy("none", quota=0)
    rows.policy("off", mode="disabled")
    later = rows.policy("later")
    override(acme, later, starts_at=datetime(2099, 1, 1, tzinfo=UTC))
    path = reverse("admin:limits_client_more", args=[acme.pk])
    form = desk.open(path).response.context["form"]
    assert [policy.slug for policy in form.fields["policy"].queryset] == ["later"]
    page = desk.open(reverse("admin:limits_client_current_limits", args=[acme.pk]))
    assert page.response.context["until_sunday"] == {"later"}
    answer = desk.client.post(path, {"policy": "all", "percent": "150", "until": "sunday", "why": "Sale."})
    assert "change or end that override instead" in answer.content.decode()


def test_a_raised_concurrency_limit_stays_within_the_bound() -> None:
    limits = [Limit(5, 60, Algorithm.CONCURRENCY), Limit(9_000, 60, Algorithm.CONCURRENCY)]
    assert scaled(limits, 150) == [Limit(8, 60, Algorithm.CONCURRENCY), Limit(10_000, 60, Algorithm.CONCURRENCY)]


def test_places_become_available_as_requests_end() -> None:
    rules = [policy("slow", Limit(5, 60, Algorithm.CONCURRENCY))]
    unused, used = (
        states_of(rules, 1, [(True, *figures, 0)], consumes=False)[0]
        for figures in ((0, NEVER, 0), (3, 20 * SECOND_US, 55 * SECOND_US))
    )
    assert available_again(unused) == ""
    assert available_again(used) == "as requests end, all within 55 seconds"
