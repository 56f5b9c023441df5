"""Limits in convenient units, and the sentence that describes them while typing."""

import pytest
from django.test import Client as Browser
from django.urls import reverse

from limits.models import Policy, PolicyLimit
from ratelimit_enforcer.domain.enums import Algorithm, OverQuota
from ratelimit_enforcer.domain.limit import Limit
from tests.admin.desk import Desk
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def said(desk: Desk, **typed: str) -> dict[str, str]:
    answer: dict[str, str] = desk.client.get(reverse("admin:limits_policy_sentence"), typed).json()
    return answer


BUCKET = {"algorithm": "token_bucket", "quota": "10", "window_0": "1", "window_1": "1", "burst": "20"}


@pytest.mark.parametrize(
    ("typed", "sentence", "meaning"),
    [
        (
            {"algorithm": "sliding_window", "quota": "100", "window_0": "10", "window_1": "60"},
            "100 per 10 minutes.",
            "Never more than 100 in any period of 10 minutes.",
        ),
        (
            BUCKET,
            "10 per second, bursts of 20.",
            "After a pause, up to 20 at once; then one more every 0.1 seconds.",
        ),
        (
            BUCKET,
            "10 per second, bursts of 20.",
            "An empty bucket is full again after 2 seconds",
        ),
        (
            {"algorithm": "fixed_window", "quota": "100", "window_0": "1", "window_1": "3600"},
            "100 per hour, fixed window.",
            "up to 200 are possible within a short time",
        ),
        (
            {"algorithm": "calendar", "quota": "1000", "period": "month", "timezone": "Europe/Berlin"},
            "1,000 per month in Europe/Berlin.",
            "resets on the first of the month at midnight, Europe/Berlin time",
        ),
        (
            {"algorithm": "concurrency", "quota": "5", "window_0": "1", "window_1": "60"},
            "At most 5 concurrent requests, each for at most one minute.",
            "Never more than 5 requests at the same time, whatever they cost. A request counts until it ends, and for "
            "at most one minute.",
        ),
        (
            {"algorithm": "sliding_window", "quota": "0", "window_0": "1", "window_1": "60"},
            "Nothing admitted.",
            "denied",
        ),
    ],
)
def test_typed_limits_are_described_by_a_sentence(
    desk: Desk, shop: Platform, typed: dict[str, str], sentence: str, meaning: str
) -> None:
    answer = said(desk, **typed)
    assert answer["sentence"] == sentence
    assert meaning in answer["meaning"]


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ({"algorithm": "sliding_window", "quota": "ten", "window_0": "1", "window_1": "60"}, "Enter a whole number."),
        ({"algorithm": "sliding_window", "quota": "10"}, "Enter the length of the window, such as 1 minute."),
        ({"algorithm": "concurrency", "quota": "10"}, "Enter the longest duration of a request, such as 1 minute."),
        (
            {"algorithm": "concurrency", "quota": "10001", "window_0": "1", "window_1": "60"},
            "Must be between 0 and 10,000 concurrent requests.",
        ),
        ({"algorithm": "calendar", "quota": "10"}, "Is required for a calendar limit: hour, day, week, month or year."),
    ],
)
def test_problems_are_shown_while_typing(desk: Desk, shop: Platform, typed: dict[str, str], problem: str) -> None:
    assert said(desk, **typed) == {"problem": problem}


def test_the_sentence_requires_a_login(shop: Platform) -> None:
    assert Browser().get(reverse("admin:limits_policy_sentence")).status_code == 302


@pytest.mark.parametrize(
    ("seconds", "number", "unit"),
    [(600, "10", "60"), (90, "90", "1"), (7_200, "2", "3600"), (86_400, "1", "86400"), (604_800, "1", "604800")],
)
def test_a_window_is_shown_in_its_largest_unit_and_preserved(
    desk: Desk, shop: Platform, seconds: int, number: str, unit: str
) -> None:
    PolicyLimit.objects.update(window=seconds)
    page = desk.open(reverse("admin:limits_policy_change", args=[Policy.objects.get().pk]))
    assert (page.fields["limits-0-window_0"], page.fields["limits-0-window_1"]) == (number, unit)
    desk.change(Policy.objects.get(), limits__0__quota="7")
    assert PolicyLimit.objects.get().window == seconds


def test_a_typed_window_is_converted_to_seconds(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__window_0="2", limits__0__window_1="604800")
    assert PolicyLimit.objects.get().window == 1_209_600


@pytest.mark.parametrize("number", ["ten", "1.5", "-3"])
def test_an_invalid_window_is_reported_at_its_field_and_not_saved(desk: Desk, shop: Platform, number: str) -> None:
    page = desk.change(Policy.objects.get(), limits__0__window_0=number)
    assert list(page.errors) == ["limits-0-window"]
    assert PolicyLimit.objects.get().window == 60


@pytest.mark.parametrize(
    ("number", "unit", "message"),
    [
        ("", "60", "Enter the length of the window, such as 1 minute."),
        ("0", "60", "Must be between 1 second and 366 days."),
        ("9999999999999", "604800", "Must be between 1 second and 366 days."),
        ("²", "60", "Enter a whole number."),
        ("1.5", "60", "Enter a whole number."),
        ("9" * 5_000, "60", "Enter a whole number."),
    ],
)
def test_an_invalid_window_has_one_message_without_a_unit(
    desk: Desk, shop: Platform, number: str, unit: str, message: str
) -> None:
    page = desk.change(Policy.objects.get(), limits__0__window_0=number, limits__0__window_1=unit)
    assert page.errors == {"limits-0-window": [message]}


def test_a_window_is_marked_as_required(desk: Desk, shop: Platform) -> None:
    form = desk.open(reverse("admin:limits_policy_add")).response.context["inline_admin_formsets"][0].formset.forms[0]
    assert form.fields["window"].required


CONCURRENCY = {"limits__0__algorithm": "concurrency", "limits__0__quota": "5"}


def test_a_concurrency_limit_is_reviewed_and_saved(desk: Desk, shop: Platform) -> None:
    review = desk.send(reverse("admin:limits_policy_change", args=[Policy.objects.get().pk]), **CONCURRENCY)
    assert [str(change) for change in review.response.context["changes"]] == [
        "Policy all, limits: 100 per minute → at most 5 concurrent requests, each for at most one minute."
    ]

    desk.confirm(review)
    assert PolicyLimit.objects.get().as_domain() == Limit(5, 60, Algorithm.CONCURRENCY)
    assert shop.ruleset.policies[0].limits == (Limit(5, 60, Algorithm.CONCURRENCY),)


def test_a_second_concurrency_limit_is_reported_at_its_algorithm(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), **CONCURRENCY)
    second = {"limits-1-algorithm": "concurrency", "limits-1-quota": "9", "limits-1-window_0": "90"}
    page = desk.change(Policy.objects.get(), **{"limits-TOTAL_FORMS": "2", "limits-1-window_1": "1"} | second)
    assert page.errors == {
        "limits-1-algorithm": ["Only one concurrency limit is allowed in a policy or an override."],
    }
    assert PolicyLimit.objects.count() == 1


def test_a_policy_counts_over_quota_only_with_a_calendar_limit(desk: Desk, shop: Platform) -> None:
    address = reverse("admin:limits_policy_change", args=[Policy.objects.get().pk])
    page = desk.send(address, over_quota="count")
    assert "Over quota needs a calendar limit" in page.text
    assert Policy.objects.get().over_quota == "deny"
    monthly = {"limits__0__algorithm": "calendar", "limits__0__period": "month", "limits__0__timezone": "UTC"} | {
        "limits__0__window_0": ""
    }
    review = desk.send(address, over_quota="count", **monthly)
    assert "Policy all, over quota: none → count." in [str(change) for change in review.response.context["changes"]]
    desk.confirm(review)
    assert shop.ruleset.policies[0].over_quota is OverQuota.COUNT
