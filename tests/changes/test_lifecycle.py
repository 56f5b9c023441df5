"""Change sets on a real platform, from the draft to the end: what is in force, and what the history says."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils import timezone
from pytest_django import Settings

from limits.changes import publication as live
from limits.changes.due import apply_due
from limits.changes.lifecycle import (
    Actor,
    ChangeConflict,
    NotAllowedNow,
    applied,
    approve,
    differences_of,
    discard,
    rebase,
    resolve,
    start,
    submit,
)
from limits.changes.undo import start_undo
from limits.domain.edits import Edit
from limits.models import ChangeSet, Policy, PolicyLimit, Publication, RuleChange
from limits.publishing import rules
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.validation import InvalidRuleset
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.configfile.files import put
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

LIVE = """
plans: [{slug: free, default: true}]
endpoints: [{slug: search, routes: ["GET /search"]}]
policies:
  - {slug: search, endpoint: search, limits: [{quota: 10, window: 3600}]}
  - {slug: total, limits: [{quota: 1000, window: 86400}]}
"""
ANN = Actor("ann")
QUOTA = ("policies", "search", "limits", "3600s", "quota")


@pytest.fixture(autouse=True)
def published(platform: Platform) -> Platform:
    put(LIVE)
    return platform


def to(quota: int, before: int = 10) -> list[Edit]:
    return [Edit(QUOTA, before, quota)]


def quota(client: str = "acme") -> tuple[int, str | None]:
    """The first quota in force, and the change set that decides."""
    assert rules.deliver().live
    decision = get_engine().check(CheckRequest(client, "search"), consume=False)
    return decision.limits[0].limit.quota, decision.change


def at(moment: datetime) -> int:
    found = optional_microseconds(moment)
    assert found is not None
    return found


def in_an_hour() -> datetime:
    return timezone.now() + timedelta(hours=1)


def reason() -> str:
    newest = Publication.objects.first()
    assert newest is not None
    return newest.reason


def test_a_draft_changes_nothing_until_it_is_published_as_one_version() -> None:
    draft = start("Sale", ANN, [*to(20), Edit(("plans", "gold"), None, {"slug": "gold", "name": "Gold"})], "Spring")
    assert [str(change) for change in differences_of(draft)] == [
        "Plan gold added (name: Gold).",
        "Policy search, limits: 10 per hour → 20 per hour.",
    ]
    assert quota() == (10, None)
    assert not RuleChange.objects.exists()
    found = live.publish(draft, ANN)
    assert found is not None
    assert (found.sequence, found.author, found.reason, len(found.changes)) == (2, "ann", "Spring", 2)
    assert quota() == (20, None)
    draft.refresh_from_db()
    assert (draft.state, draft.publication) == (ChangeSet.State.PUBLISHED, found)


def test_a_draft_follows_what_others_publish() -> None:
    draft = start("Sale", ANN, to(20))
    put(LIVE + "  - {slug: other, limits: [{quota: 7, window: 60}]}\n", reason="Meanwhile")
    assert rebase(draft) == []
    assert (draft.base and draft.base.sequence, draft.list_of_edits) == (2, to(20))
    live.publish(draft, ANN)
    assert sorted(Policy.objects.values_list("slug", flat=True)) == ["other", "search", "total"]


@pytest.mark.parametrize(("keep", "expected"), [(True, 20), (False, 15)])
def test_two_drafts_of_one_limit_conflict_at_the_field(keep: bool, expected: int) -> None:
    first = start("First", ANN, to(15))
    second = start("Second", Actor("bob"), [*to(20), Edit(("plans", "x"), None, {"slug": "x"})])
    live.publish(first, ANN)
    (conflict,) = rebase(second)
    assert (conflict.edit.path, conflict.edit.after, conflict.found) == (QUOTA, 20, 15)
    with pytest.raises(ChangeConflict, match=r"policies\.search\.limits\.3600s\.quota"):
        live.publish(second, Actor("bob"))
    assert quota() == (15, None)
    resolve(second, conflict, keep=keep)
    live.publish(second, Actor("bob"))
    assert quota() == (expected, None)


def test_a_schedule_begins_and_ends_by_the_store_and_the_history_says_so() -> None:
    begins, ends = in_an_hour(), in_an_hour() + timedelta(hours=1)
    change = start("Sale", ANN, to(20))
    found = live.schedule(change, ANN, begins, ends)
    assert found is not None
    assert found.reason == "Change set “Sale”. (scheduled)"
    assert quota() == (10, None)
    moments = (at(begins) - 1, at(begins), at(ends) - 1, at(ends))
    ruleset = rules.compile_ruleset()
    assert [ruleset_at(ruleset, moment) for moment in moments] == [10, 20, 20, 10]

    assert apply_due(at(begins) - 1) == []
    assert [each.reason for each in apply_due(at(begins))] == ["Change set “Sale”. (as scheduled)"]
    assert quota() == (20, None)
    assert [ruleset_at(rules.compile_ruleset(), moment) for moment in moments[1:]] == [20, 20, 10]
    assert apply_due(at(begins)) == []
    assert [each.reason for each in apply_due(at(ends))] == ["Change set “Sale” reverted as scheduled."]
    assert quota() == (10, None)
    change.refresh_from_db()
    assert change.state == ChangeSet.State.REVERTED


def ruleset_at(ruleset: Any, now: int) -> int:
    begun = [each.rules for each in ruleset.variants if each.starts_at <= now]
    policies = {policy.slug: policy for policy in (begun[-1] if begun else ruleset).policies}
    return int(policies["search"].limits[0].quota)


def test_begin_and_end_that_passed_unnoticed_are_applied_in_order() -> None:
    begins = in_an_hour()
    live.schedule(start("One", ANN, to(20)), ANN, begins, begins + timedelta(minutes=20))
    live.schedule(start("Two", ANN, to(30)), ANN, begins + timedelta(minutes=20), begins + timedelta(minutes=40))
    assert len(apply_due(at(begins + timedelta(hours=1)))) == 4
    assert quota() == (10, None)


def test_what_conflicts_with_a_planned_change_is_rejected_at_the_field() -> None:
    live.schedule(start("Sale", ANN, to(20)), ANN, in_an_hour())
    PolicyLimit.objects.filter(policy__slug="search").update(quota=12)
    with pytest.raises(InvalidRuleset) as caught:
        rules.record("bob")
    (problem,) = caught.value.problems
    assert problem.location == ("policies", "search", "limits", 0, "quota")
    assert problem.message == "change set “Sale” changes “10” to “20”, and found “12”: withdraw it first."


def test_other_edits_are_reapplied_to_what_is_planned() -> None:
    begins = in_an_hour()
    live.schedule(start("Sale", ANN, to(20)), ANN, begins)
    put(LIVE.replace("quota: 1000", "quota: 2000"))
    (variant,) = rules.compile_ruleset().variants
    assert [policy.limits[0].quota for policy in variant.rules.policies] == [20, 2000]


def test_a_trial_is_widened_and_finished() -> None:
    change = start("Pilot", ANN, to(20))
    live.try_on(change, ANN, percent=10)
    keys = [f"client-{number}" for number in range(300)]
    first = {key for key in keys if quota(key) == (20, "Pilot")}
    assert {quota(key) for key in set(keys) - first} == {(10, None)}
    assert 10 <= len(first) <= 60
    live.try_on(change, ANN, percent=50)
    assert first < {key for key in keys if quota(key) == (20, "Pilot")}
    live.publish(change, ANN)
    assert {quota(key) for key in keys[:20]} == {(20, None)}
    change.refresh_from_db()
    assert change.state == ChangeSet.State.PUBLISHED


def test_a_trial_is_withdrawn() -> None:
    change = start("Pilot", ANN, to(20))
    live.try_on(change, ANN, percent=99)
    live.withdraw(change, Actor("bob"))
    assert (quota(), reason(), change.state) == ((10, None), "Change set “Pilot” withdrawn.", "withdrawn")
    with pytest.raises(NotAllowedNow):
        live.publish(change, ANN)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([Edit(("endpoints", "search", "cost"), 1, 3)], "Endpoints cannot differ"),
        (
            [
                Edit(
                    ("policies", "all"),
                    None,
                    {"slug": "all", "partition": "global", "limits": {"60s": {"quota": 1, "window": 60}}},
                )
            ],
            "Policy all counts several clients",
        ),
    ],
)
def test_what_cannot_differ_for_a_share(edits: list[Edit], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        live.try_on(start("Pilot", ANN, edits), ANN, percent=10)
    assert not ChangeSet.objects.filter(state="trial").exists()


def test_only_one_trial_and_eight_dates() -> None:
    live.try_on(start("Pilot", ANN, to(20)), ANN, percent=10)
    with pytest.raises(ValidationError, match="Another change set is being tried"):
        live.try_on(start("Second", ANN, to(20)), ANN, tag="vip")
    for number in range(4):
        edit = Edit(("plans", f"p{number}"), None, {"slug": f"p{number}"})
        live.schedule(start(f"S{number}", ANN, [edit]), ANN, in_an_hour(), in_an_hour() + timedelta(hours=1))
    with pytest.raises(ValidationError, match="At most 8 dates"):
        live.schedule(start("Ninth", ANN, [Edit(("plans", "p"), None, {"slug": "p"})]), ANN, in_an_hour())


def test_an_approval_is_given_by_another_and_withdrawn_by_an_edit(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}
    ann, bob = (User.objects.create_user(name, is_staff=True) for name in ("ann", "bob"))
    actor = Actor.of(ann)
    change = start("Sale", actor, to(20))
    with pytest.raises(NotAllowedNow, match="Another person has to approve"):
        live.publish(change, actor)
    submit(change)
    with pytest.raises(NotAllowedNow, match="Nobody approves their own change"):
        approve(change, ann)
    approve(change, bob)
    assert (change.state, change.approved_by) == (ChangeSet.State.APPROVED, bob)
    change.set_edits(to(30))
    change.save()
    assert (change.state, change.approved_by, change.approved_at) == (ChangeSet.State.DRAFT, None, None)
    with pytest.raises(NotAllowedNow, match="Another person has to approve"):
        live.publish(change, actor)
    submit(change)
    approve(change, bob)
    live.publish(change, actor)
    assert quota() == (30, None)


def test_who_may_publish_alone_needs_no_approval(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}
    live.publish(start("Sale", Actor("deploy", publishes_alone=True), to(20)), Actor("deploy", publishes_alone=True))
    assert quota() == (20, None)


def test_a_discarded_draft_is_over() -> None:
    draft = start("Sale", ANN, to(20))
    discard(draft)
    with pytest.raises(NotAllowedNow):
        live.publish(draft, ANN)
    assert start("Sale", ANN, to(20)).pk != draft.pk


def test_undoing_an_earlier_version_keeps_what_came_later() -> None:
    put(LIVE.replace("quota: 10,", "quota: 99,"), reason="A mistake")
    put(LIVE.replace("quota: 10,", "quota: 99,").replace("quota: 1000", "quota: 2000"))
    mistake = Publication.objects.get(sequence=2)
    undo = start_undo(mistake, ANN)
    assert applied(undo).conflicts == []
    live.publish(undo, ANN)
    assert {row.policy.slug: row.quota for row in PolicyLimit.objects.all()} == {"search": 10, "total": 2000}
