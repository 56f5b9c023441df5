"""The page “Why was this denied?”."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse

from limits.changes.lifecycle import Actor, start
from limits.changes.publication import try_on
from limits.domain.edits import Edit
from limits.models import Client, Policy, PolicyLimit
from limits.publishing import clients, rules
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def ask(desk: Desk, client: str, request: str) -> Page:
    return desk.open(reverse("admin:limits_client_explain"), client=client, request=request)


@pytest.fixture
def search(shop: Platform) -> None:
    """Two endpoints with overlapping routes, and a small limit on one of them."""
    endpoint = rows.endpoint("search", "GET /shop/{id}", name="Search")
    rows.endpoint("rest", "* /shop/*", name="The rest")
    rows.policy("search", quota=2, endpoint=endpoint)
    rows.policy("of-others", plan=rows.plan("pro"))
    rules.record("test")
    assert rules.deliver().live


def test_a_denied_request_is_explained_without_consuming(desk: Desk, search: None) -> None:
    engine = get_engine()
    for _ in range(2):
        engine.check(CheckRequest("acme", "search"))
    for _ in range(3):
        page = ask(desk, "acme", "GET /shop/7?q=tea")
    answer = page.response.context
    assert "A request now would be denied." in page.text
    assert "Denied by search:60s." in page.text
    assert [(p.route, p.endpoint, p.wins) for p in answer["patterns"]] == [
        ("GET /shop/{id}", "Search", True),
        ("* /shop/*", "The rest", False),
    ]
    limits = {item["policy"].slug: item["limits"][0] for item in answer["applying"]}
    assert {slug: (limit["used"], limit["effect"]) for slug, limit in limits.items()} == {
        "all": (2, ""),
        "search": (2, "denies"),
    }
    assert [(policy.policy.slug, policy.why) for policy in answer["others"]] == [
        ("of-others", "It applies to plan pro; the client is on free.")
    ]


def test_a_slug_and_an_unregistered_client_are_accepted(desk: Desk, search: None) -> None:
    page = ask(desk, "somebody", "search")
    assert "A request now would be admitted." in page.text
    assert "unregistered" in page.text
    assert page.response.context["patterns"] == ()


def test_an_unregistered_route(desk: Desk, search: None) -> None:
    page = ask(desk, "acme", "POST /elsewhere")
    assert "unregistered: only policies for all requests apply" in page.text
    assert [item["policy"].slug for item in page.response.context["applying"]] == ["all"]


@pytest.mark.parametrize(("status", "word"), [("blocked", "The client is blocked"), ("exempt", "The client is exempt")])
def test_blocked_and_exempt_clients(desk: Desk, search: None, status: str, word: str) -> None:
    Client.objects.update(status=status)
    assert clients.deliver().live
    assert word in ask(desk, "acme", "search").text


def test_a_cost_above_the_quota(desk: Desk, search: None) -> None:
    PolicyLimit.objects.filter(policy=Policy.objects.get(slug="search")).update(quota=0)
    rules.record("test")
    rules.deliver()
    assert "always denied" in ask(desk, "acme", "search").text


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (
            "segment",
            "The limits come from the override for clients with the tag wholesale until 30 Nov 2126, 00:00 UTC.",
        ),
        ("client", "The limits come from the client's override until 30 Nov 2126, 00:00 UTC."),
        ("none", ""),
    ],
)
def test_the_override_in_force_is_named(desk: Desk, search: None, kind: str, sentence: str) -> None:
    """Also if its limits are those of the policy."""
    policy, ends_at = Policy.objects.get(slug="search"), datetime(2126, 11, 30, tzinfo=UTC)
    Client.objects.update(tags=["wholesale"])
    if kind == "segment":
        rows.segment_override(policy, quota=2, tags=["wholesale"], ends_at=ends_at)
    elif kind == "client":
        rows.override_limit(rows.override(Client.objects.get(), policy, ends_at=ends_at), quota=2)
    rules.record("test")
    assert rules.deliver().live
    assert clients.deliver().live
    explained = {item["policy"].slug: item["why"] for item in ask(desk, "acme", "search").response.context["applying"]}
    reason = "It applies to every plan and endpoint search."
    assert explained == {
        "all": "It applies to every plan and all requests of a client.",
        "search": f"{reason} {sentence}".strip(),
    }


def test_a_denial_by_a_concurrency_limit(desk: Desk, search: None) -> None:
    """A wait would be a guess: nobody knows when a request ends."""
    PolicyLimit.objects.filter(policy=Policy.objects.get(slug="search")).update(algorithm="concurrency", window=600)
    rules.record("test")
    assert rules.deliver().live
    first = get_engine().check(CheckRequest("acme", "search"))
    get_engine().check(CheckRequest("acme", "search"))
    page = ask(desk, "acme", "search")
    assert "A request now would be denied." in page.text
    assert "Denied by search:concurrent. Retry when one of the requests in progress has ended." in page.text
    limit = limits_of(page)["search"]
    assert (limit["sentence"], limit["effect"]) == (
        "at most 2 concurrent requests, each for at most 10 minutes",
        "denies",
    )
    assert (limit["used"], limit["capacity"], limit["is_full"]) == (2, 2, True)
    assert limit["available_again"] == "as requests end, all within about 10 minutes"
    get_engine().release(first.reservation or "")
    page = ask(desk, "acme", "search")
    assert "A request now would be admitted." in page.text
    assert (limits_of(page)["search"]["used"], limits_of(page)["search"]["is_full"]) == (1, False)


def test_an_overdrawn_limit_is_used_up(desk: Desk, search: None) -> None:
    get_engine().charge(CheckRequest("acme", "search"), 5)
    page = ask(desk, "acme", "search")
    assert "Denied by search:60s. Retry in " in page.text
    limit = limits_of(page)["search"]
    assert (limit["used"], limit["capacity"], limit["is_full"]) == (2, 2, True)
    assert 'class="rl-full"' in page.text


def limits_of(page: Page) -> dict[str, dict[str, Any]]:
    """Slug of each policy that applies → its first limit."""
    return {item["policy"].slug: item["limits"][0] for item in page.response.context["applying"]}


def test_without_the_store_the_page_makes_no_statement(desk: Desk, search: None, shop: Platform) -> None:
    shop.make_store_unavailable()
    text = ask(desk, "acme", "search").text
    assert "Redis is unavailable" in text
    assert "would be" not in text


@pytest.mark.parametrize(
    ("client", "request_", "field", "message"),
    [
        ("", "search", "client", "required"),
        ("a\tb", "search", "client", "control characters"),
        ("acme", "", "request", "required"),
        ("acme", "GET shop", "request", "Enter a slug, or a method and a path"),
        ("acme", "/shop", "request", "Enter a slug, or a method and a path"),
    ],
)
def test_invalid_input_is_reported_at_its_field(
    desk: Desk, search: None, client: str, request_: str, field: str, message: str
) -> None:
    page = desk.open(reverse("admin:limits_client_explain"), client=client, request=request_, asked="1")
    assert message in page.response.context["form"].errors[field][0]


def test_the_route_tester_shows_every_matching_pattern(desk: Desk, search: None) -> None:
    page = desk.open(reverse("admin:limits_endpoint_try_a_route"), request="GET /shop/7")
    assert [(p.route, p.wins) for p in page.response.context["patterns"]] == [
        ("GET /shop/{id}", True),
        ("* /shop/*", False),
    ]


def test_before_the_first_publication_nothing_is_limited(desk: Desk, platform: Platform) -> None:
    assert "Nothing has been published yet" in ask(desk, "acme", "search").text


@pytest.mark.parametrize("query", [{}, {"client": "acme", "request": ""}, {"client": "", "request": "GET /a"}])
def test_a_link_with_incomplete_input_shows_no_error(desk: Desk, shop: Platform, query: dict[str, str]) -> None:
    page = desk.open(reverse("admin:limits_client_explain"), **query)
    assert "This field is required." not in page.text
    assert page.response.context["form"]["client"].value() == query.get("client")


def test_the_ancestors_of_a_client_are_named_and_linked(desk: Desk, search: None) -> None:
    acme = Client.objects.get()
    Client.objects.update(plan=Policy.objects.get(slug="of-others").plan)
    rows.client("acme-mobile", parent=acme)
    assert clients.deliver().live
    page = ask(desk, "acme-mobile", "search")
    assert "The parent acme is on plan pro." in page.text
    assert f'<a href="{reverse("admin:limits_client_change", args=[acme.pk])}">acme</a>' in page.text
    applying = {item["policy"].slug: item["why"] for item in page.response.context["applying"]}
    assert applying["of-others"] == (
        "It applies to plan pro of the parent acme and all requests of acme and the clients below it."
    )
    assert "on the default plan" not in page.text
    acme.status = "blocked"
    acme.save()
    assert clients.deliver().live
    assert "The client is blocked: the parent acme is blocked." in ask(desk, "acme-mobile", "search").text


def test_the_change_set_that_decides_is_named(desk: Desk, search: None) -> None:
    actor = Actor("ann")
    try_on(start("Pilot", actor, [Edit(("policies", "search", "limits", "60s", "quota"), 2, 9)]), actor, tag="vip")
    Client.objects.create(key="big", tags=["vip"])
    assert rules.deliver().live
    assert clients.deliver().live
    assert [ask(desk, key, "search").response.context["decision"].change for key in ("big", "acme")] == ["Pilot", None]
    assert "<dt>Change set</dt><dd>Pilot</dd>" in ask(desk, "big", "search").text
