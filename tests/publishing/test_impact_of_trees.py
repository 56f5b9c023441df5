"""The clients that a change affects, where clients have parents."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from limits.models import Plan, PolicyLimit, SegmentOverride
from limits.publishing import rules
from limits.publishing.impact import impact
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


@pytest.fixture
def trees(shop: Platform) -> None:
    """acme is on the default plan, with one client below it; org is on the plan pro, with three levels below it."""
    for slug in ("pro", "other"):
        rows.policy(f"of-{slug}", plan=rows.plan(slug))
    rows.policy("of-free", plan=Plan.objects.get(slug="free"))
    rows.client("below-acme", parent=rows.Client.objects.get(key="acme"))
    org = rows.client("org", plan=Plan.objects.get(slug="pro"), tags=["eu"])
    rows.client("key", parent=rows.client("group", parent=rows.client("team", parent=org)))
    rows.client("own", parent=org, plan=Plan.objects.get(slug="other"))


def sentence_of_change(policy: str) -> str:
    before = rules.read_ruleset()
    PolicyLimit.objects.filter(policy__slug=policy).update(quota=7)
    return impact(before, rules.read_ruleset()).sentence


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("of-pro", "Affects 5 registered clients."),
        ("of-other", "Affects 1 registered client."),
        ("of-free", "Affects 2 registered clients and all unregistered clients."),
        ("all", "Affects 7 registered clients and all unregistered clients."),
    ],
)
def test_a_changed_policy_affects_the_clients_below_those_on_its_plan(trees: None, policy: str, sentence: str) -> None:
    assert sentence_of_change(policy) == sentence


@pytest.mark.parametrize(
    ("policy", "segment", "sentence"),
    [
        ("of-pro", {"tags": ["eu"]}, "Affects 5 registered clients."),
        ("all", {"tags": ["eu"]}, "Affects 1 registered client."),
        ("of-free", {"plan": "free"}, "Affects 2 registered clients and all unregistered clients."),
    ],
)
def test_an_override_of_a_policy_of_a_plan_affects_the_clients_below(
    trees: None, policy: str, segment: dict[str, object], sentence: str
) -> None:
    before = rules.read_ruleset()
    if "plan" in segment:
        segment = {"plan": Plan.objects.get(slug=segment["plan"])}
    row: SegmentOverride = rows.segment_override(rows.Policy.objects.get(slug=policy), **segment)
    assert row.pk
    assert impact(before, rules.read_ruleset()).sentence == sentence


def test_ancestors_are_not_read_if_no_client_has_a_parent(shop: Platform) -> None:
    rows.policy("of-free", plan=Plan.objects.get(slug="free"))
    with CaptureQueriesContext(connection) as queries:
        assert sentence_of_change("of-free") == "Affects 1 registered client and all unregistered clients."
    assert not [query["sql"] for query in queries if 'JOIN "limits_client"' in query["sql"]]
