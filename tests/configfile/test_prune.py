"""Pruning: rows that the sections of a file do not contain are removed."""

import pytest

from limits.configfile.export import export
from limits.models import Client, Endpoint, Override, Plan, Policy
from tests.configfile.files import LIMITS, STORE, everything, put, refused
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


@pytest.fixture
def store(platform: Platform) -> Platform:
    """A platform on which the file with every section is live."""
    put(STORE)
    return platform


def test_rows_that_the_sections_do_not_contain_are_removed(store: Platform) -> None:
    applied = put(
        f"""
        plans: [{{slug: free, name: Free}}, {{slug: pro, name: Pro}}, {{slug: new}}]
        endpoints: []
        policies: [{{slug: pro-total, plan: pro, {LIMITS}}}]
        """,
        prune=True,
    )
    assert applied.changes == [
        "Plan new added (name: new).",
        "Endpoint orders removed.",
        "Endpoint search removed.",
        "Policy free-search removed.",
        "Policy pro-total, limits: 1,000 per hour → 1 per minute.",
    ]
    assert store.quotas == {"pro-total": 1}
    assert store.ruleset.endpoints == ()


@pytest.mark.parametrize("text", ["", "plans: [{slug: free, name: Free}, {slug: pro, name: Pro}]"])
def test_omitted_sections_are_not_pruned(text: str, store: Platform) -> None:
    before = everything(store)
    assert put(text, prune=True, prune_clients=True).changes == []
    assert everything(store) == before


def test_a_route_of_a_pruned_endpoint_can_be_reused(store: Platform) -> None:
    put(
        f"""
        endpoints: [{{slug: lookup, routes: [GET /api/search]}}]
        policies: [{{slug: lookups, endpoint: lookup, {LIMITS}}}]
        overrides: []
        """,
        prune=True,
    )
    assert [(item.slug, str(item.routes[0])) for item in store.ruleset.endpoints] == [("lookup", "GET /api/search")]


def test_the_default_plan_can_be_replaced(store: Platform) -> None:
    put("plans: [{slug: pro}, {slug: basic, default: true}]\npolicies: []\noverrides: []", prune=True)
    assert [plan.slug for plan in store.ruleset.plans] == ["basic", "pro"]
    assert store.ruleset.default_plan == "basic"


def test_the_default_plan_cannot_be_removed_without_another(store: Platform) -> None:
    before = everything(store)
    assert refused("plans: [{slug: pro}]\npolicies: []\noverrides: []", prune=True) == [
        "plans: one plan must be the default."
    ]
    assert everything(store) == before


def test_pruning_alone_keeps_clients(store: Platform) -> None:
    before = everything(store)
    assert put("clients: [{key: acme, name: Acme Ltd, plan: pro}]", prune=True).changes == []
    assert everything(store) == before


def test_pruned_clients_are_deleted_in_the_store_too(store: Platform) -> None:
    applied = put("clients: [{key: acme, name: Acme Ltd, plan: pro}]", prune=True, prune_clients=True)
    assert applied.changes == ["Client scraper changed."]
    assert list(Client.objects.values_list("key", flat=True)) == ["acme"]
    assert (store.is_registered("acme"), store.client("scraper").deleted) == (True, True)


def test_pruning_a_client_deletes_its_overrides(store: Platform) -> None:
    put("clients: []", prune=True, prune_clients=True)
    assert not Override.objects.exists()


def test_pruning_removes_overrides_that_the_file_does_not_contain(store: Platform) -> None:
    assert put("overrides: []", prune=True).changes == ["Client acme changed."]
    assert store.client("acme").overrides == ()


IN_USE = [
    (
        "plans: [{slug: free, default: true}]",
        "plans: cannot be pruned, because it is still used by: Acme Ltd, pro-total.",
    ),
    ("endpoints: [{slug: orders}]", "endpoints: cannot be pruned, because it is still used by: Search on Free."),
    ("policies: []", "policies: cannot be pruned, because it is still used by: Acme Ltd on pro-total."),
    ("plans: [{slug: pro, default: true}]", "plans: cannot be pruned, because it is still used by: Search on Free."),
]


@pytest.mark.parametrize(("text", "line"), IN_USE)
def test_rows_in_use_are_not_pruned(text: str, line: str, store: Platform) -> None:
    before = everything(store)
    assert refused(text, prune=True) == [line]
    assert everything(store) == before


def test_a_file_with_empty_sections_removes_everything_except_clients(store: Platform) -> None:
    Client.objects.update(plan=None)
    put("plans: []\nendpoints: []\npolicies: []\nclients: []\noverrides: []", prune=True)
    assert not any(model.objects.exists() for model in (Plan, Endpoint, Policy, Override))
    assert Client.objects.count() == 2
    assert store.ruleset.plans == ()


def test_pruning_with_an_export_restores_the_platform(store: Platform) -> None:
    before = export()
    rows.plan("extra")
    rows.policy("more", endpoint=rows.endpoint("extra", "GET /extra"))
    rows.client("late", plan=rows.plan("other"))
    Policy.objects.filter(slug="free-search").update(mode="disabled")
    put(before, prune=True, prune_clients=True)
    assert export() == before
