"""What is due by the store's clock becomes part of the rows, by the task and before others publish."""

from datetime import timedelta

import pytest
from django.utils import timezone

from limits.changes.due import apply_pending
from limits.changes.lifecycle import Actor, start
from limits.changes.publication import schedule
from limits.domain.edits import Edit
from limits.models import ChangeSet, PolicyLimit
from limits.publishing import rules
from limits.tasks import reconcile
from tests.configfile.files import put
from tests.management.running import run
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

LIVE = "policies: [{slug: search, limits: [{quota: 10, window: 60}]}]"
ANN = Actor("ann")


@pytest.fixture
def begun(platform: Platform) -> ChangeSet:
    """A change set that began a minute ago, in the ruleset and not in the rows."""
    put(LIVE)
    change = start("Sale", ANN, [Edit(("policies", "search", "limits", "60s", "quota"), 10, 20)])
    schedule(change, ANN, timezone.now() + timedelta(hours=1))
    ChangeSet.objects.update(publish_at=timezone.now() - timedelta(minutes=1))
    rules.record("test")
    assert rules.deliver().live
    change.refresh_from_db()
    return change


def state_and_quota(change: ChangeSet) -> tuple[str, int]:
    change.refresh_from_db()
    return change.state, PolicyLimit.objects.get().quota


def test_the_reconcile_task_applies_and_delivers_it(begun: ChangeSet, platform: Platform) -> None:
    assert state_and_quota(begun) == ("scheduled", 10)
    reconcile()
    assert state_and_quota(begun) == ("published", 20)
    assert (platform.quotas, platform.ruleset.variants) == ({"search": 20}, ())


def test_nothing_is_applied_before_its_time(platform: Platform) -> None:
    put(LIVE)
    change = start("Sale", ANN, [Edit(("policies", "search", "limits", "60s", "quota"), 10, 20)])
    schedule(change, ANN, timezone.now() + timedelta(hours=1))
    apply_pending()
    assert state_and_quota(change) == ("scheduled", 10)


def test_nothing_is_applied_while_the_store_is_unavailable(begun: ChangeSet, platform: Platform) -> None:
    platform.make_store_unavailable()
    apply_pending()
    assert state_and_quota(begun) == ("scheduled", 10)


def test_rows_that_conflict_leave_it_as_it_is(begun: ChangeSet) -> None:
    PolicyLimit.objects.update(quota=15)
    apply_pending()
    assert state_and_quota(begun) == ("scheduled", 15)


def test_a_command_applies_it_first(begun: ChangeSet) -> None:
    assert run("publish_ruleset").status == 0
    assert state_and_quota(begun) == ("published", 20)
