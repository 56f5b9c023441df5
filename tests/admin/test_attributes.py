"""What a policy counts separately, its conditions, and attributes in explanations, in the admin."""

import pytest
from django.urls import reverse

from limits.models import Policy
from ratelimit_enforcer.domain.attributes import Match
from ratelimit_enforcer.domain.enums import Partition
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

CONDITIONS = "model: gpt-*, o1\n\n client_tags: trial "


def test_a_partition_and_conditions_are_live_and_shown_again(desk: Desk, shop: Platform) -> None:
    policy = Policy.objects.get()
    desk.change(policy, partition="global", attributes="ip, model", match=CONDITIONS)
    (live,) = shop.ruleset.policies
    assert (live.partition, live.attributes) == (Partition.GLOBAL, ("ip", "model"))
    assert live.match == Match((("model", ("gpt-*", "o1")),), ("trial",))
    fields = desk.open(reverse("admin:limits_policy_change", args=[policy.pk])).fields
    assert (fields["attributes"], fields["match"]) == ("ip, model", "model: gpt-*, o1\nclient_tags: trial")
    desk.change(policy, attributes="", match="")
    assert (shop.ruleset.policies[0].attributes, shop.ruleset.policies[0].match) == ((), Match())


@pytest.mark.parametrize(
    ("field", "text", "error"),
    [
        ("attributes", "IP", "“IP” must be 1 to 64 lowercase letters, digits and hyphens."),
        ("attributes", "ip ip", "Must not name an attribute twice."),
        ("match", "gpt-x", "The line “gpt-x” has no colon: write “model: gpt-*, o1”."),
        ("match", "a: b\na: c", "The line “a: c” names an attribute twice: write “model: gpt-*, o1”."),
        ("match", "client: x", "client: is the client, and not an attribute."),
    ],
)
def test_wrong_text_is_rejected_at_its_field(desk: Desk, shop: Platform, field: str, text: str, error: str) -> None:
    page = desk.change(Policy.objects.get(), **{field: text})
    assert page.errors == {field: [error]}
    assert page.fields[field] == text


def test_the_comparison_shows_partition_and_conditions(desk: Desk, shop: Platform) -> None:
    Policy.objects.update(attributes=["model"], match={"region": ["eu"]})
    text = desk.open(reverse("admin:limits_plan_compare")).text
    assert "by model" in text
    assert "only if region is “eu”" in text


def explained(desk: Desk, attributes: str) -> str:
    query = {"client": "acme", "request": "search", "attributes": attributes, "asked": "1"}
    return desk.open(reverse("admin:limits_client_explain"), **query).text


def test_an_explanation_says_which_condition_does_not_match(desk: Desk, shop: Platform) -> None:
    rows.policy("large", match={"model": ["gpt-*"]})
    rows.policy("trial", match={"client_tags": ["trial"]})
    desk.change(Policy.objects.get(slug="all"), limits__0__quota="7")
    assert "It applies only if model is “gpt-*”." in explained(desk, "")
    text = explained(desk, "model=gpt-x ip=192.0.2.7")
    assert "It applies only if model" not in text
    assert "It applies only if the client has the tag trial." in text


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ("model", "“model” has no value: write “model=gpt-x”."),
        ("ip=here", "ip must be an IP address."),
        ("model=a model=b", "“model” has two values."),
    ],
)
def test_wrong_attributes_of_an_explanation_are_rejected(
    desk: Desk, shop: Platform, attributes: str, error: str
) -> None:
    assert error in explained(desk, attributes)
