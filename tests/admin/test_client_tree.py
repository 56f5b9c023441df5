"""The tree on the page of a client: ancestors, children, inherited limits, and who uses the quota up."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from limits.models import Client, Plan, Policy, Usage
from limits.publishing import clients, rules
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pro(shop: Platform) -> Policy:
    """The organisation acme on the plan pro, its team without a plan, and the key below it."""
    plan = rows.plan("pro")
    policy = rows.policy("of-pro", plan=plan, quota=50)
    rows.policy("of-free", plan=Plan.objects.get(slug="free"))
    rules.record("test")
    assert rules.deliver().live
    acme = Client.objects.get(key="acme")
    Client.objects.update(plan=plan, name="Acme Ltd")
    rows.client("key", parent=rows.client("team", parent=acme))
    assert clients.deliver().live
    return policy


def address(key: str, name: str = "change") -> str:
    return reverse(f"admin:limits_client_{name}", args=[Client.objects.get(key=key).pk])


def page_of(desk: Desk, key: str) -> Page:
    return desk.open(address(key))


def limits(desk: Desk, key: str) -> dict[str, tuple[str | None, str, int]]:
    """Limit → (the ancestor that it belongs to, source, usage)."""
    shown = desk.open(address(key, "current_limits")).response.context["current_limits"]
    return {each.name: (each.owner and each.owner.key, each.source, each.used) for each in shown.limits}


def send(key: str, requests: int, outcome: str = "admitted", ago: timedelta = timedelta(0)) -> None:
    minute = timezone.now().replace(second=0, microsecond=0) - ago
    fields: dict[str, Any] = {"endpoint": "", "cost": requests, "requests": requests}
    Usage.objects.create(client_key=key, minute=minute, outcome=outcome, **fields)


def test_inherited_limits_are_shown_with_their_client_source_and_usage(desk: Desk, pro: Policy) -> None:
    rows.override_limit(rows.override(Client.objects.get(key="acme"), pro), quota=500)
    assert clients.deliver().live
    for _ in range(3):
        get_engine().check(CheckRequest("key", "search"))
    get_engine().check(CheckRequest("acme", "search"))
    assert limits(desk, "key") == {
        "all:60s": (None, "all plans", 3),
        "of-pro:60s~2": ("acme", "override with no end", 4),
    }
    text = page_of(desk, "key").text
    assert f'<td><a href="{address("acme")}">Acme Ltd</a></td>' in text
    assert "this client" in text
    assert "Current limits (plan: none, limits of team)" in text
    assert "default plan (" not in text


def test_a_root_shows_no_owners(desk: Desk, pro: Policy) -> None:
    assert limits(desk, "acme")["of-pro:60s"] == (None, "plan Pro", 0)
    assert "Limit of" not in page_of(desk, "acme").text


def test_only_the_clients_own_limits_are_raised_in_one_click(desk: Desk, pro: Policy) -> None:
    Client.objects.filter(key="team").update(plan=pro.plan)
    assert clients.deliver().live
    assert set(limits(desk, "team")) == {"all:60s", "of-pro:60s", "of-pro:60s~1"}
    assert page_of(desk, "team").text.count("?policy=of-pro&amp;") == 1
    assert "?policy=of-pro&amp;" not in page_of(desk, "key").text


def test_a_limit_that_the_client_does_not_have_cannot_be_raised(desk: Desk, pro: Policy) -> None:
    form = desk.open(address("key", "more")).response.context["form"]
    assert [policy.slug for policy in form.fields["policy"].queryset] == ["all"]


def test_an_override_of_a_policy_of_the_default_plan_has_no_effect_below_a_parent(desk: Desk, pro: Policy) -> None:
    key = Client.objects.get(key="key")
    override = rows.override(key, Policy.objects.get(slug="of-free"))
    rows.override_limit(override)
    text = desk.list(type(override)).text
    assert "“key” has a parent and no plan, but the policy is for Free" in text


def test_the_page_shows_the_tree_with_links_plans_and_status(desk: Desk, pro: Policy) -> None:
    Client.objects.filter(key="key").update(status="exempt")
    Client.objects.filter(key="acme").update(status="blocked")
    context = page_of(desk, "team").response.context["tree"]
    assert [(each.key, plan) for each, plan in context["ancestors"]] == [("acme", "plan Pro")]
    assert context["own"] == "no plan of its own"
    assert [(each.key, plan) for each, plan in context["children"]] == [("key", "no plan of its own")]
    text = page_of(desk, "team").text.split('id="tree"', 1)[1].split("</section>", 1)[0]
    assert f'<a href="{address("acme")}">Acme Ltd</a>' in text
    assert f'<a href="{address("key")}">key</a>' in text
    assert [badge for badge in ("blocked", "exempt") if f">{badge}</span>" in text] == ["blocked", "exempt"]
    assert (
        f'href="{reverse("admin:limits_client_changelist")}?parent__id__exact={Client.objects.get(key="team").pk}"'
        in text
    )


def test_a_client_without_relatives_shows_no_tree(desk: Desk, shop: Platform) -> None:
    assert 'id="tree"' not in page_of(desk, "acme").text


def test_of_many_children_the_first_are_listed(desk: Desk, pro: Policy) -> None:
    team = Client.objects.get(key="team")
    Client.objects.bulk_create(Client(key=f"key-{number:04}", parent=team) for number in range(1_500))
    context = page_of(desk, "team").response.context["tree"]
    assert len(context["children"]) == 20
    assert "1,501 children</a>; the first 20 are shown" in page_of(desk, "team").text


def test_the_clients_below_with_most_requests_are_listed(desk: Desk, pro: Policy) -> None:
    rows.client("other", parent=Client.objects.get(key="team"))
    send("key", 700)
    send("key", 30, "denied", timedelta(hours=3))
    send("other", 200, ago=timedelta(hours=2))
    send("acme", 70)
    send("stranger", 5_000)
    users = page_of(desk, "acme").response.context["tree"]["users"]
    assert [(user.client, user.requests, user.percent, user.denied, user.last_hour) for user, _ in users] == [
        ("key", 730, "73", 30, 700),
        ("other", 200, "20", 0, 0),
        ("acme", 70, "7.0", 0, 70),
    ]
    text = page_of(desk, "acme").text
    assert "Acme Ltd itself" in text
    assert f'<a href="{address("key")}">key</a>' in text


def test_the_chart_includes_the_clients_below_and_says_so(desk: Desk, pro: Policy) -> None:
    for key in ("acme", "key", "team"):
        send(key, 10)
    send("key", 2, "denied")
    words = "Requests of this client and of all clients below it."
    assert "32 requests: 30 admitted, 2 denied." in page_of(desk, "acme").text
    assert words in page_of(desk, "acme").text
    assert "12 requests: 10 admitted, 2 denied." in page_of(desk, "key").text
    assert words not in page_of(desk, "key").text


@pytest.mark.parametrize(
    ("blocked", "sentence"), [("team", "The parent team is blocked."), ("acme", "The ancestor acme is blocked.")]
)
def test_a_blocked_ancestor_is_named(desk: Desk, pro: Policy, blocked: str, sentence: str) -> None:
    Client.objects.filter(key=blocked).update(status="blocked")
    assert clients.deliver().live
    assert f"All requests are denied, regardless of limits. {sentence}" in page_of(desk, "key").text


def test_limits_of_an_ancestor_that_count_all_clients_together_are_shown(desk: Desk, pro: Policy) -> None:
    rows.policy("ocean", quota=9_000, partition="global", plan=pro.plan)
    rules.record("test")
    assert rules.deliver().live
    sentence = "Shared with all clients: 9,000 per minute on all requests (ocean)"
    assert sentence in page_of(desk, "key").text
    Client.objects.filter(key="acme").update(status="exempt")
    assert clients.deliver().live
    assert sentence not in page_of(desk, "key").text


def test_the_number_of_queries_does_not_grow_with_the_tree(desk: Desk, pro: Policy) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(desk, "acme")
        return len(captured)

    send("key", 5)
    before = queries()
    for number in range(15):
        rows.client(f"below-{number}", parent=Client.objects.get(key="acme"))
        send(f"below-{number}", 5)
    assert queries() == before
    assert before <= 54
