"""The page of both groups of a trial: charts, and buttons to widen, finish and withdraw it."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from limits.changes.lifecycle import Actor, start
from limits.changes.publication import try_on
from limits.domain.edits import Edit
from limits.models import ChangeSet, Progress, Usage, Work
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trial(shop: Platform, ada: User) -> ChangeSet:
    """Clients with the tag “beta” may send 20 instead of 100 requests in a minute, as if for five minutes."""
    change = start("Pilot", Actor.of(ada), [Edit(("policies", "all", "limits", "60s", "quota"), 100, 20)])
    try_on(change, Actor.of(ada), tag="beta", max_denial_rate=30)
    change.tried_since = timezone.now() - timedelta(minutes=5)
    change.save()
    Progress.note(Work.HOURS, timezone.now() - timedelta(days=1))
    rows.client("globex", tags=["beta"])
    for client, outcome, requests in (
        ("globex", "admitted", 30),
        ("globex", "denied", 10),
        ("acme", "admitted", 1999),
        ("acme", "denied", 1),
        ("", "denied", 7),
    ):
        minute = (timezone.now() - timedelta(minutes=2)).replace(second=0, microsecond=0)
        Usage.objects.create(
            minute=minute, client_key=client, endpoint="search", outcome=outcome, requests=requests, cost=requests
        )
    return change


def address(change: ChangeSet) -> str:
    return reverse("admin:limits_changeset_groups", args=[change.pk])


def test_charts_show_the_requests_of_both_groups(desk: Desk, trial: ChangeSet) -> None:
    page = desk.open(address(trial))
    assert "40 requests: 30 admitted, 10 denied." in page.text
    assert "2,000 requests: 1,999 admitted, 1 denied." in page.text


def test_the_trial_is_withdrawn_from_the_page(desk: Desk, trial: ChangeSet) -> None:
    page = desk.open(address(trial))
    assert [step.name for step in page.response.context["steps"]] == ["widen", "finish", "withdraw"]
    desk.client.post(reverse("admin:limits_changeset_withdraw", args=[trial.pk]))
    trial.refresh_from_db()
    assert trial.state == ChangeSet.State.WITHDRAWN
    assert desk.client.get(address(trial)).status_code == 302
