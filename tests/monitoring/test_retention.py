"""Rows are deleted at the end of their retention time."""

from datetime import datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from limits.models import (
    Alert,
    Message,
    PolicyDenial,
    PolicyDenialDay,
    PolicyDenialHour,
    Progress,
    QuotaThreshold,
    Usage,
    UsageDay,
    UsageHour,
    Work,
)
from limits.monitoring import retention
from limits.monitoring.messages import write_message
from limits.monitoring.retention import remove_expired
from ratelimit_enforcer.domain.enums import Channel, MessageKind
from tests.models import rows
from tests.monitoring.counting import AT

pytestmark = pytest.mark.django_db

NOW = AT


@pytest.fixture(autouse=True)
def marks() -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, NOW)


@pytest.fixture(autouse=True)
def hours_are_kept_for_sixty_days(settings: Settings) -> None:
    """Not for 400, the default, so that the tests are about shorter times than days by hours."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"KEEP_HOURS": 60}


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def make(*ages: float) -> None:
    """Creates a row of every resolution for each age in days."""
    fields = {"client_key": "acme", "endpoint": "search", "outcome": "admitted", "requests": 1, "cost": 1}
    for age in ages:
        Usage.objects.create(minute=days_ago(age), **fields)
        UsageHour.objects.create(hour=days_ago(age), **fields)
        UsageDay.objects.create(day=days_ago(age), **fields)
        QuotaThreshold.objects.create(
            minute=days_ago(age), client_key="acme", endpoint="search", policy="tight", mark=80, requests=1
        )


def left() -> tuple[int, int, int, int]:
    counts = [model.objects.count() for model in (Usage, UsageHour, UsageDay, QuotaThreshold)]
    return (counts[0], counts[1], counts[2], counts[3])


def test_each_resolution_has_its_own_retention_time() -> None:
    make(13.9, 14.1, 59, 61, 729, 731)
    assert remove_expired(NOW) == 5 + 3 + 1 + 5
    assert left() == (1, 3, 5, 1)


def test_denials_by_policy_are_deleted_like_usage_of_their_resolution() -> None:
    fields = {"client_key": "acme", "endpoint": "search", "policy": "tight", "mode": "enforce", "requests": 1}
    for age in (13.9, 14.1, 61, 731):
        PolicyDenial.objects.create(minute=days_ago(age), **fields)
        PolicyDenialHour.objects.create(hour=days_ago(age), **fields)
        PolicyDenialDay.objects.create(day=days_ago(age), **fields)
    assert remove_expired(NOW) == 3 + 2 + 1
    remaining = [model.objects.count() for model in (PolicyDenial, PolicyDenialHour, PolicyDenialDay)]
    assert remaining == [1, 2, 3]


def test_retention_times_are_configurable(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"KEEP_MINUTES": 4, "KEEP_HOURS": 3, "KEEP_DAYS": 2}
    make(1, 2.5, 3.5, 4.5)
    remove_expired(NOW)
    assert left() == (3, 2, 1, 3)


@pytest.mark.parametrize("value", [1, 0, -3, "2"])
def test_an_invalid_retention_time_is_reported(settings: Settings, value: object) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"KEEP_MINUTES": value}
    with pytest.raises(ImproperlyConfigured, match="KEEP_MINUTES"):
        remove_expired(NOW)


def test_rows_that_are_not_rolled_up_are_kept() -> None:
    make(20, 70)
    Progress.note(Work.HOURS, days_ago(21))
    Progress.note(Work.DAYS, days_ago(80))
    remove_expired(NOW)
    assert left() == (1, 2, 2, 1)


def test_sent_messages_and_resolved_alerts_are_deleted_too() -> None:
    rule = rows.alert_rule()
    for age, resolved in ((731, True), (729, True), (800, False)):
        Alert.objects.create(
            rule=rule,
            group=str(age),
            opened_at=days_ago(age),
            resolved_at=days_ago(age) if resolved else None,
            highest=60,
        )
    for age, waits in ((61, False), (59, False), (70, True)):
        alert = Alert.objects.get(group="731")
        message = write_message(Channel.MAIL, "ops@example.com", alert, MessageKind.OPENED, days_ago(age))
        Message.objects.filter(pk=message.pk).update(next_attempt_at=NOW if waits else None, attempts=age)
    assert remove_expired(NOW) == 2
    assert set(Alert.objects.values_list("group", flat=True)) == {"729", "800"}
    assert set(Message.objects.values_list("attempts", flat=True)) == {59, 70}


def test_expired_sessions_are_deleted_too() -> None:
    for key, age in (("expired", 1), ("valid", -1)):
        Session.objects.create(session_key=key, session_data="", expire_date=days_ago(age))
    assert remove_expired(NOW) == 1
    assert Session.objects.get().session_key == "valid"


def test_rows_are_deleted_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_STATEMENT", 2)
    make(*(15 + number for number in range(7)))
    assert remove_expired(NOW, seconds=0) == 0
    assert remove_expired(NOW) == 14
