"""Dates of policies and overrides in the admin."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse

from limits.models import Client, Override, Policy
from tests.admin.desk import Desk
from tests.admin.test_saving import NEW_LIMIT
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime(2126, 11, 27, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


def test_a_date_without_a_time_is_midnight(desk: Desk, shop: Platform) -> None:
    policy = Policy.objects.get()
    desk.change(policy, starts_at_0="2126-11-27", starts_at_1="", ends_at_0="2126-11-30", ends_at_1="18:30")
    policy.refresh_from_db()
    assert (policy.starts_at, policy.ends_at) == (DAY, datetime(2126, 11, 30, 18, 30, tzinfo=UTC))
    (live,) = shop.ruleset.policies
    assert len(live.dates) == 2


def test_the_form_shows_saved_dates_and_an_emptied_date_is_removed(desk: Desk, shop: Platform) -> None:
    Policy.objects.update(starts_at=DAY)
    policy = Policy.objects.get()
    fields = desk.open(reverse("admin:limits_policy_change", args=[policy.pk])).fields
    assert (fields["starts_at_0"], fields["starts_at_1"]) == ("2126-11-27", "00:00:00")
    desk.change(policy, starts_at_0="", starts_at_1="")
    policy.refresh_from_db()
    assert policy.starts_at is None


@pytest.mark.parametrize(
    ("dates", "errors"),
    [
        ({"starts_at_1": "10:00"}, {"starts_at": ["Enter a complete value."]}),
        ({"starts_at_0": "soon"}, {"starts_at": ["Enter a valid date."]}),
        (
            {"starts_at_0": "2126-11-30", "ends_at_0": "2126-11-27"},
            {"ends_at": ["The end must be after the start."]},
        ),
    ],
)
def test_invalid_dates_are_reported_at_their_field(
    desk: Desk, shop: Platform, dates: dict[str, str], errors: dict[str, list[str]]
) -> None:
    assert desk.change(Policy.objects.get(), **dates).errors == errors


def test_an_override_without_a_time_begins_at_midnight(desk: Desk, shop: Platform) -> None:
    acme, policy = Client.objects.get(key="acme"), Policy.objects.get()
    desk.add(Override, client=acme.pk, policy=policy.pk, starts_at_0="2126-11-27", **NEW_LIMIT)
    assert Override.objects.get().starts_at == DAY


@pytest.mark.parametrize(
    ("dates", "state", "sentence"),
    [
        ({"starts_at": DAY}, "scheduled", "from 27 Nov 2126, 00:00 UTC, no end"),
        ({"starts_at": PAST, "ends_at": DAY}, "active", "from 1 Jan 2020, 00:00 UTC, until 27 Nov 2126, 00:00 UTC"),
        ({"ends_at": PAST}, "ended", "no start, until 1 Jan 2020, 00:00 UTC"),
    ],
)
def test_the_list_and_the_comparison_show_the_dates(
    desk: Desk, shop: Platform, dates: dict[str, Any], state: str, sentence: str
) -> None:
    Policy.objects.update(**dates)
    text = desk.list(Policy).text.split("result_list", 1)[1]
    assert state in labels(text)
    assert sentence in text
    assert sentence in desk.open(reverse("admin:limits_plan_compare")).text


def test_the_list_shows_no_state_for_a_policy_without_dates(desk: Desk, shop: Platform) -> None:
    text = desk.list(Policy).text.split("result_list", 1)[1]
    assert labels(text) == ["enforce"]
    assert "no start" not in text


def labels(text: str) -> list[str]:
    return re.findall(r"(?s)whitespace-nowrap[^>]*>\s*([^<]+?)\s*</span>", text)
