"""A config file becomes the edits of a change set, which change what applying the file would have changed."""

import pytest
from django.db import transaction

from limits.changes.documents import edits_of_document, start_with_document
from limits.changes.lifecycle import Actor, differences_of
from limits.changes.publication import publish
from limits.configfile.document import read
from limits.configfile.reading import InvalidConfig
from limits.domain.edits import Edit, State
from limits.models import ChangeSet
from limits.publishing.rules import read_state
from tests.configfile.files import put
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

LIVE = """
plans: [{slug: free, default: true}, {slug: pro, name: Pro}]
endpoints:
  - {slug: search, routes: ["GET /search"]}
  - {slug: orders, routes: ["POST /orders"], cost: 5}
policies:
  - {slug: search, name: Search, endpoint: search, limits: [{quota: 10, window: 60}, {quota: 90, window: 3600}]}
  - {slug: total, plan: pro, partition: global, limits: [{quota: 1000, window: 86400}]}
overrides:
  - {clients: {plan: pro}, policy: search, limits: [{quota: 50, window: 60}], reason: Paid for it}
"""
ANN = Actor("ann")


@pytest.fixture(autouse=True)
def published(platform: Platform) -> Platform:
    put(LIVE)
    return platform


def applied(text: str) -> State:
    """The rules after the file is applied, which is then undone."""
    with transaction.atomic():
        put(text)
        after = read_state()
        transaction.set_rollback(True)
    return after


@pytest.mark.parametrize(
    "text",
    [
        LIVE,
        "plans: [{slug: free, name: Gratis}]",
        "plans: [{slug: gold, default: true}]",
        "endpoints: [{slug: search, routes: ['GET /orders']}, {slug: orders, routes: ['GET /search']}]",
        "policies: [{slug: search, endpoint: orders, limits: [{quota: 20, window: 60}]}]",
        "policies: [{slug: new, plan: pro, mode: shadow, limits: [{quota: 1, algorithm: calendar, period: day}]}]",
        "overrides: [{clients: {plan: pro}, policy: search, limits: [{quota: 70, window: 60}]}]",
        "overrides: [{clients: {tags: [vip]}, policy: search, limits: [{quota: 70, window: 60}], reason: VIPs}]",
    ],
)
def test_publishing_the_edits_does_what_applying_the_file_does(text: str) -> None:
    expected = applied(text)
    edits = edits_of_document(read(text))
    if edits:
        publish(start_with_document("Change", ANN, read(text)), ANN)
    assert bool(edits) == (text != LIVE)
    assert read_state() == expected


def test_one_field_is_one_edit() -> None:
    assert edits_of_document(read(LIVE.replace("quota: 90", "quota: 80"))) == [
        Edit(("policies", "search", "limits", "3600s", "quota"), 90, 80)
    ]


def test_a_file_may_take_the_default_from_every_plan() -> None:
    text = "plans: [{slug: free, default: false}]"
    with pytest.raises(InvalidConfig) as by_change_set:
        edits_of_document(read(text))
    with pytest.raises(InvalidConfig) as by_file:
        put(text)
    assert str(by_change_set.value) == str(by_file.value)


def test_a_draft_names_the_reason_and_the_version_it_is_based_on() -> None:
    draft = start_with_document("Sale", ANN, read("plans: [{slug: gold, name: Gold}]"), "Spring")
    assert (draft.reason, draft.state, draft.base and draft.base.sequence) == ("Spring", ChangeSet.State.DRAFT, 1)
    assert [str(change) for change in differences_of(draft)] == ["Plan gold added (name: Gold)."]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "policies: [{slug: a, plan: none, limits: [{quota: 1, window: 60}]}]",
            "policies[0].plan: there is no plan “none”.",
        ),
        (
            "endpoints: [{slug: a}, {slug: b, routes: [GET /x, GET /search]}]",
            "endpoints[1].routes[1]: “GET /search” already belongs to endpoint “search”",
        ),
        ("clients: [{key: acme}]", "clients: cannot be part of a change set, which has plans"),
        ("blocks: []", "blocks: cannot be part of a change set"),
        ("alert_rules: []", "alert_rules: cannot be part of a change set"),
        (
            "overrides: [{client: acme, policy: search, limits: [{quota: 1, window: 60}]}]",
            "overrides[0].client: cannot be part of a change set",
        ),
        (
            "overrides: [{clients: {plan: pro}, policy: total, limits: [{quota: 1, window: 60}]}]",
            "overrides[0].policy: ",
        ),
    ],
)
def test_what_cannot_be_part_of_a_change_set_is_rejected_at_its_place(text: str, problem: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        start_with_document("Change", ANN, read(text))
    assert str(caught.value).startswith(problem)
    assert not ChangeSet.objects.exists()
