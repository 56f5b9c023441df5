"""The groups of a trial, from real checks, and automatic withdrawal."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from limits.changes import publication as live
from limits.changes.lifecycle import Actor, start
from limits.changes.trials import MIN_REQUESTS, comparison, withdraw_exceeded
from limits.domain.edits import Edit
from limits.models import ChangeSet, Message, Publication
from limits.monitoring.drain import drain
from limits.publishing import clients, rules
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.configfile.files import put
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

LIVE = """
plans: [{slug: free, default: true}]
endpoints: [{slug: search}]
policies: [{slug: search, endpoint: search, limits: [{quota: 1000, window: 3600}]}]
"""
ANN = Actor("ann")
EDIT = Edit(("policies", "search", "limits", "3600s", "quota"), 1000, 90)


def ann() -> Actor:
    return Actor.of(User.objects.create_user("ann", "ann@example.com"))


@pytest.fixture
def trial(platform: Platform) -> ChangeSet:
    """Clients with the tag “beta” may send 90 requests in an hour, all others 1,000; withdrawn above 9 %."""
    put(LIVE)
    rows.client("acme", tags=["beta"])
    assert clients.deliver().live
    assert clients.load_all()
    return tried(9)


def tried(max_denial_rate: int | None, tag: str = "beta") -> ChangeSet:
    """The trial, as if its share were in force for five minutes."""
    change = ChangeSet.objects.filter(state="trial").first() or start("Pilot", ann(), [EDIT])
    live.try_on(change, ANN, tag=tag, max_denial_rate=max_denial_rate)
    assert rules.deliver().live
    change.tried_since = timezone.now() - timedelta(minutes=5)
    change.save()
    return change


def ask(times: int, client: str = "acme") -> None:
    for _ in range(times):
        get_engine().check(CheckRequest(client, "search"))
    assert drain()


def newest() -> Publication:
    return Publication.objects.latest("sequence")


def test_a_trial_whose_denial_rate_exceeds_the_maximum_is_withdrawn(trial: ChangeSet, platform: Platform) -> None:
    ask(100)
    ask(50, "globex")
    assert withdraw_exceeded()
    trial.refresh_from_db()
    assert trial.state == ChangeSet.State.WITHDRAWN
    assert newest().author == "automatic withdrawal"
    assert newest().reason == (
        "Change set “Pilot” withdrawn automatically: 10 % of 100 requests of the clients in the share were denied, and "
        "0 % of 50 requests of all others. The maximum was 9 %."
    )
    message = Message.objects.get()
    assert (message.destination, message.subject) == ("ann@example.com", "Withdrawn: Pilot")
    assert newest().reason in message.text
    assert platform.sequence == newest().sequence
    decision = get_engine().check(CheckRequest("acme", "search"))
    assert (decision.allowed, decision.change, decision.limits[0].limit.quota) == (True, None, 1000)
    assert not withdraw_exceeded()


def test_a_trial_below_the_maximum_goes_on(trial: ChangeSet) -> None:
    tried(10)
    ask(100)
    assert not withdraw_exceeded()
    ask(1)
    assert withdraw_exceeded()


def test_denials_of_all_others_do_not_count(trial: ChangeSet) -> None:
    ask(MIN_REQUESTS - 20)
    ask(1200, "globex")
    assert not withdraw_exceeded()


def test_with_few_requests_nothing_is_withdrawn(trial: ChangeSet) -> None:
    ask(MIN_REQUESTS - 1)
    tried(1)
    assert not withdraw_exceeded()


def test_a_trial_without_a_maximum_goes_on(trial: ChangeSet) -> None:
    tried(None)
    ask(200)
    assert not withdraw_exceeded()


def test_few_requests_in_an_hour_are_judged_over_a_day(trial: ChangeSet) -> None:
    ask(100)
    trial.tried_since = timezone.now() - timedelta(days=1)
    trial.save()
    tomorrow = timezone.now() + timedelta(hours=3)
    assert withdraw_exceeded(tomorrow)


def test_the_comparison_begins_again_with_another_share(trial: ChangeSet) -> None:
    before = trial.tried_since
    live.try_on(trial, ANN, tag="beta", max_denial_rate=20)
    assert trial.tried_since == before
    live.try_on(trial, ANN, percent=50)
    assert trial.tried_since
    assert before
    assert trial.tried_since > before
    assert comparison(trial) is None


def test_there_is_nothing_to_compare_in_a_draft(platform: Platform) -> None:
    put(LIVE)
    assert comparison(start("Pilot", ANN, [EDIT])) is None
    assert not withdraw_exceeded()
