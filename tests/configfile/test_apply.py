"""Applying a file: what changes, what does not, and the report."""

import pytest
import yaml

from limits.configfile.reading import parse
from limits.models import Client, ClientChange, Publication
from limits.models import Plan as PlanRow
from limits.models import Policy as PolicyRow
from limits.publishing.reconciler import reconcile
from ratelimit_enforcer.domain.enums import ClientStatus, Mode
from ratelimit_enforcer.domain.rules import Plan
from tests.configfile.files import LIMITS, STORE, everything, put
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def test_a_file_is_live_on_an_empty_platform(platform: Platform) -> None:
    applied = put(STORE, reason="Opening day.")
    assert (applied.delivery.live, applied.delivery.version, platform.sequence) == (True, 1, 1)
    assert platform.quotas == {"free-search": 100, "pro-total": 1000}
    assert platform.ruleset.plans == (Plan("free", "Free"), Plan("pro", "Pro"))
    assert platform.ruleset.default_plan == "free"
    assert {item.slug: item.cost for item in platform.ruleset.endpoints} == {"orders": 5, "search": 1}
    acme, scraper = platform.client("acme"), platform.client("scraper")
    assert (acme.plan, acme.status, acme.overrides[0].limits[0].quota) == ("pro", ClientStatus.ACTIVE, 5000)
    assert (scraper.plan, scraper.status) == (None, ClientStatus.BLOCKED)


def test_the_history_contains_author_and_reason(platform: Platform) -> None:
    put(STORE, reason="Opening day.")
    publication = Publication.objects.get()
    assert (publication.author, publication.reason, publication.state) == ("test", "Opening day.", "live")


def test_each_change_is_reported_as_a_sentence(shop: Platform) -> None:
    applied = put("""
        plans: [{slug: free, name: Free of charge}, {slug: pro}]
        policies: [{slug: all, mode: shadow, limits: [{quota: 5, window: 60}]}]
        clients: [{key: acme, plan: pro}]
    """)
    assert applied.changes == [
        "Plan pro added (name: pro).",
        "Plan free, name: Free → Free of charge.",
        "Policy all, mode: enforce → shadow.",
        "Policy all, limits: 100 per minute → 5 per minute.",
        "Client acme changed.",
    ]


def test_many_changed_clients_are_reported_as_a_number(shop: Platform) -> None:
    assert put(f"clients: [{', '.join(f'{{key: c{number}}}' for number in range(21))}]").changes == [
        "21 clients changed."
    ]


def test_applying_a_file_again_changes_nothing(platform: Platform) -> None:
    put(STORE)
    before = everything(platform)
    applied = put(STORE)
    assert (applied.changes, applied.delivery.live, applied.delivery.version) == ([], True, 1)
    assert everything(platform) == before


def test_the_order_of_slugs_in_a_file_is_irrelevant(platform: Platform) -> None:
    put(STORE)
    data = {section: list(reversed(items)) for section, items in reversed(parse(STORE).items())}
    assert put(yaml.safe_dump(data, sort_keys=False)).changes == []
    assert platform.sequence == 1
    slugs = [policy.slug for policy in platform.ruleset.policies]
    assert slugs == sorted(slugs)


def test_limits_and_routes_keep_their_order(shop: Platform) -> None:
    routes, windows = ["GET /z", "GET /a", "* /m"], [60, 1, 3600]
    limits = [{"quota": 5, "window": window} for window in windows]
    put(f"endpoints: [{{slug: a, routes: {routes}}}]\npolicies: [{{slug: all, limits: {limits}}}]")
    assert [str(route) for route in shop.ruleset.endpoints[0].routes] == routes
    assert [limit.window for limit in shop.ruleset.policies[0].limits] == windows


@pytest.mark.parametrize("text", ["", "plans: []\nendpoints: []\npolicies: []\nclients: []\noverrides: []"])
def test_rows_that_a_file_does_not_contain_are_kept(text: str, platform: Platform) -> None:
    put(STORE)
    before = everything(platform)
    assert put(text).changes == []
    assert everything(platform) == before


def test_an_omitted_field_is_reset_to_its_default(platform: Platform) -> None:
    put(STORE)
    put("""
        endpoints: [{slug: orders}]
        policies: [{slug: free-search, limits: [{quota: 100, window: 60}]}]
        clients: [{key: acme}, {key: scraper}]
    """)
    (endpoint, _), (policy, _) = platform.ruleset.endpoints, platform.ruleset.policies
    assert (endpoint.name, endpoint.routes, endpoint.cost) == ("orders", (), 1)
    assert (policy.plan, policy.endpoint, policy.mode, len(policy.limits)) == (None, None, Mode.ENFORCE, 1)
    assert PolicyRow.objects.get(slug="free-search").name == ""
    assert (platform.client("acme").plan, platform.client("scraper").status) == (None, ClientStatus.ACTIVE)


def test_a_file_can_change_the_default_plan(shop: Platform) -> None:
    applied = put("plans: [{slug: pro, default: true}]")
    assert applied.changes == ["Plan pro added (name: pro).", "Default plan: free → pro."]
    assert shop.ruleset.default_plan == "pro"


def test_a_file_without_a_default_plan_does_not_change_it(shop: Platform) -> None:
    put("plans: [{slug: free}, {slug: pro}]")
    assert shop.ruleset.default_plan == "free"


def test_routes_can_move_between_endpoints(shop: Platform) -> None:
    put("endpoints: [{slug: a, routes: [GET /a, GET /b]}, {slug: b, routes: [GET /c]}]")
    put("endpoints: [{slug: a, routes: [GET /c]}, {slug: b, routes: [GET /b, GET /a]}]")
    assert {item.slug: [str(route) for route in item.routes] for item in shop.ruleset.endpoints} == {
        "a": ["GET /c"],
        "b": ["GET /b", "GET /a"],
    }


def test_a_parameter_can_be_renamed(shop: Platform) -> None:
    put("endpoints: [{slug: a, routes: ['GET /a/{id}']}]")
    applied = put("endpoints: [{slug: a, routes: ['GET /a/{number}']}]")
    assert applied.changes == ["Endpoint a, routes: GET /a/{id} → GET /a/{number}."]


def test_descriptions_written_in_the_admin_are_kept(shop: Platform) -> None:
    rows.plan("pro", description="For companies.")
    put("plans: [{slug: pro, name: Professional}]")
    assert PlanRow.objects.get(slug="pro").description == "For companies."


def test_only_changed_clients_are_delivered(shop: Platform) -> None:
    put("clients: [{key: a}, {key: b}]")
    revisions = dict(Client.objects.values_list("key", "revision"))
    assert put("clients: [{key: acme}, {key: a}, {key: b, name: Bob}]").changes == ["Client b changed."]
    changed = {key for key, revision in Client.objects.values_list("key", "revision") if revisions[key] != revision}
    assert changed == {"b"}


def test_a_dry_run_reports_the_changes_without_making_them(shop: Platform) -> None:
    before = everything(shop)
    tried = put(STORE, dry_run=True, prune=True, prune_clients=True)
    assert tried.delivery is None
    assert everything(shop) == before
    assert "Policy all removed." in tried.changes
    assert tried.changes == put(STORE, prune=True, prune_clients=True).changes


def test_a_file_applied_during_an_outage_goes_live_after_it(shop: Platform) -> None:
    shop.make_store_unavailable()
    applied = put(f"policies: [{{slug: all, {LIMITS}}}]\nclients: [{{key: acme, status: blocked}}, {{key: new}}]")
    assert not applied.delivery.live
    assert applied.delivery.problem == "Redis is unavailable; the change will go live automatically."
    assert applied.changes[-2:] == ["Client acme changed.", "Client new changed."]
    shop.make_store_available()
    assert (shop.sequence, shop.client("new")) == (1, None)
    reconcile()
    assert (shop.sequence, shop.quotas, shop.is_complete) == (2, {"all": 1}, True)
    assert (shop.client("acme").status, shop.is_registered("new")) == (ClientStatus.BLOCKED, True)
    assert not ClientChange.objects.exists()
