"""Rejected files that do not fit the content of the database. Each leaves everything unchanged."""

import pytest

from limits.models import Plan
from tests.configfile.files import LIMITS, everything, put, refused
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

UNKNOWN = {
    f"policies: [{{slug: b, plan: nobody, {LIMITS}}}]": "policies[0].plan: there is no plan “nobody”.",
    f"policies: [{{slug: b, endpoint: void, {LIMITS}}}]": "policies[0].endpoint: there is no endpoint “void”.",
    "clients: [{key: acme}, {key: new, plan: nobody}]": "clients[1].plan: there is no plan “nobody”.",
    f"overrides: [{{client: nobody, policy: all, {LIMITS}}}]": "overrides[0].client: there is no client “nobody”.",
    f"overrides: [{{client: acme, policy: nix, {LIMITS}}}]": "overrides[0].policy: there is no policy “nix”.",
}


@pytest.mark.parametrize(("text", "line"), UNKNOWN.items(), ids=UNKNOWN.values())
def test_unknown_references_are_rejected(text: str, line: str, shop: Platform) -> None:
    before = everything(shop)
    assert refused(text) == [line]
    assert everything(shop) == before


def test_all_unknown_references_are_reported_together(shop: Platform) -> None:
    text = f"""policies:
        - {{slug: b, plan: nobody, {LIMITS}}}
        - {{slug: c, plan: free, {LIMITS}}}
        - {{slug: d, plan: nix, {LIMITS}}}
    """
    assert refused(text) == [
        "policies[0].plan: there is no plan “nobody”.",
        "policies[2].plan: there is no plan “nix”.",
    ]


def test_a_file_may_reference_rows_that_it_creates(shop: Platform) -> None:
    put(f"""
        plans: [{{slug: pro}}]
        endpoints: [{{slug: search}}]
        policies: [{{slug: pro-search, plan: pro, endpoint: search, {LIMITS}}}]
        clients: [{{key: new, plan: pro}}]
        overrides: [{{client: new, policy: pro-search, {LIMITS}}}]
    """)
    assert shop.client("new").overrides[0].policy == "pro-search"


ROUTES = [
    (
        "[{slug: a, routes: [GET /x, GET /x]}]",
        ["endpoints[0].routes[1]: “GET /x” already belongs to endpoint “a”."],
    ),
    (
        "[{slug: a, routes: [GET /x]}, {slug: b, routes: [GET /y, GET /x]}]",
        ["endpoints[1].routes[1]: “GET /x” already belongs to endpoint “a”."],
    ),
    (
        "[{slug: a, routes: ['* /x/{id}']}, {slug: b, routes: ['* /x/{name}']}]",
        ["endpoints[1].routes[0]: “* /x/{name}” already belongs to endpoint “a”."],
    ),
    (
        "[{slug: a, routes: [GET /x]}, {slug: b, routes: [HEAD /x]}]",
        ["endpoints[1].routes[0]: “GET /x” already belongs to endpoint “a”."],
    ),
    (
        "[{slug: a, routes: [GET /x, GET /orders]}, {slug: b, routes: [GET /x/]}]",
        [
            "endpoints[0].routes[1]: “GET /orders” already belongs to endpoint “orders”.",
            "endpoints[1].routes[0]: “GET /x/” already belongs to endpoint “a”.",
        ],
    ),
]


@pytest.mark.parametrize(("endpoints", "lines"), ROUTES)
def test_equivalent_routes_are_rejected(endpoints: str, lines: list[str], shop: Platform) -> None:
    rows.endpoint("orders", "GET /orders")
    before = everything(shop)
    assert refused(f"endpoints: {endpoints}") == lines
    assert everything(shop) == before


def test_patterns_of_different_specificity_are_accepted(shop: Platform) -> None:
    routes = ["GET /x/{id}", "GET /x/new", "GET /x/*", "* /x/{id}"]
    put(f"endpoints: [{{slug: a, routes: {routes}}}]")
    assert [str(route) for route in shop.ruleset.endpoints[0].routes] == routes


def test_a_global_policy_cannot_be_overridden(shop: Platform) -> None:
    rules = f"policies: [{{slug: b, {LIMITS}}}, {{slug: everyone, partition: global, {LIMITS}}}]"
    overrides = f"overrides: [{{client: acme, policy: everyone, {LIMITS}}}]"
    assert refused(f"{rules}\n{overrides}") == [
        "overrides[0].policy: only a policy that counts each client separately can be overridden."
    ]


def test_plans_without_a_default_are_rejected(platform: Platform) -> None:
    assert refused("plans: [{slug: free}]") == ["plans: one plan must be the default."]
    assert not Plan.objects.exists()


def test_a_problem_outside_the_file_is_reported_with_its_slug(shop: Platform) -> None:
    rows.policy("elsewhere").limits.update(window=None, algorithm="calendar", period="day", timezone="Mars")
    assert refused("clients: [{key: new}]") == [
        "policies.elsewhere.limits[0].timezone: “Mars” is not a time zone; an example is “Europe/Berlin”."
    ]


def test_a_problem_at_the_end_of_a_file_rolls_back_everything(shop: Platform) -> None:
    before = everything(shop)
    lines = refused(f"""
        plans: [{{slug: pro, default: true}}]
        endpoints: [{{slug: search, routes: [GET /search]}}]
        policies: [{{slug: all, {LIMITS}}}, {{slug: new, plan: pro, {LIMITS}}}]
        clients: [{{key: acme, status: blocked}}, {{key: new}}]
        overrides: [{{client: acme, policy: all, {LIMITS}}}, {{client: missing, policy: all, {LIMITS}}}]
    """)
    assert lines == ["overrides[1].client: there is no client “missing”."]
    assert everything(shop) == before
