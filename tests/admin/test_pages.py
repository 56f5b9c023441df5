"""Pages of the admin: readable descriptions, and lists that stay fast."""

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from limits.admin.base import BigTablePaginator
from limits.models import (
    ApiToken,
    Client,
    Endpoint,
    Override,
    Plan,
    Policy,
    PolicyDenial,
    PolicyLimit,
    Publication,
    QuotaThreshold,
    SegmentOverride,
    Usage,
)
from limits.models import Platform as PlatformRow
from ratelimit_enforcer.domain.enums import Algorithm
from tests.admin.desk import Desk
from tests.models import many, rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 12_000


@pytest.fixture
def full(shop: Platform) -> None:
    """A platform with a row of every model."""
    endpoint = rows.endpoint("search", "GET /search", "* /search/{id}")
    pro = rows.plan("pro")
    policy = rows.policy("pro-search", quota=500, plan=pro, endpoint=endpoint, mode="shadow")
    rows.limit(policy, quota=100, window=1, algorithm="token_bucket", burst=20)
    client = rows.client("globex", name="Globex", plan=pro, status="blocked")
    rows.override_limit(rows.override(client, policy, reason="Sale"), quota=5_000)
    rows.segment_override(policy, quota=7_000, tags=["wholesale"], reason="Black Friday")
    rows.token()


LISTS = {
    Plan: ["Free", "pro"],
    Endpoint: ["GET /search, * /search/{id}"],
    Policy: ["100 per minute", "500 per minute; and 100 per second, bursts of 20", "all plans", "all requests"],
    Client: ["acme", "default plan", "Globex", "blocked"],
    Override: ["5,000 per minute", "Sale"],
    SegmentOverride: ["Clients with the tag wholesale", "7,000 per minute", "Black Friday"],
    ApiToken: ["…1234", "valid"],
    Publication: ["live", "test"],
}


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model.__name__)
def test_lists_describe_their_rows(desk: Desk, full: None, model: type[Plan]) -> None:
    text = desk.list(model).text
    assert [words for words in LISTS[model] if words not in text] == []


@pytest.mark.parametrize("model", [*LISTS, PlatformRow], ids=lambda model: model.__name__)
def test_a_page_has_a_favicon_and_loads_nothing_from_other_hosts(desk: Desk, full: None, model: type[Plan]) -> None:
    row = PlatformRow.load() if model is PlatformRow else model._default_manager.first()
    page = desk.open(reverse(f"admin:limits_{model._meta.model_name}_change", args=[row.pk]))
    assert page.status == 200
    assert "favicon" in page.text
    assert 'src="http' not in page.text


@pytest.mark.parametrize(
    ("model", "words", "found"),
    [
        (Client, "GLOB", ["globex"]),
        (Client, "lobe", []),
        (Policy, "pro-", ["pro-search"]),
        (Endpoint, "/search/{id}", ["search"]),
        (Override, "glob", ["globex"]),
        (Publication, "1", ["test"]),
    ],
)
def test_search_results(desk: Desk, full: None, model: type[Plan], words: str, found: list[str]) -> None:
    rows_found = desk.list(model, q=words).response.context["cl"].result_list
    names = [
        getattr(row, "key", getattr(row, "slug", getattr(row, "author", None))) or row.client.key for row in rows_found
    ]
    assert names == found


@pytest.mark.parametrize("model", [Plan, Endpoint, Policy, Client, Override], ids=lambda model: model.__name__)
def test_the_number_of_queries_of_a_list_does_not_depend_on_its_length(
    desk: Desk, full: None, model: type[Plan]
) -> None:
    desk.list(model)
    with CaptureQueriesContext(connection) as few:
        desk.list(model)
    _more()
    with CaptureQueriesContext(connection) as many:
        desk.list(model)
    assert len(many) == len(few)


def _more() -> None:
    for number in range(20):
        plan, endpoint = rows.plan(f"plan-{number}"), rows.endpoint(f"endpoint-{number}", f"GET /{number}")
        policy = rows.policy(f"policy-{number}", plan=plan, endpoint=endpoint)
        rows.override_limit(rows.override(rows.client(f"client-{number}", plan=plan), policy))


@pytest.fixture
def many_clients(shop: Platform) -> None:
    many.many_clients(MANY, key="'key-' || n", name="'Name ' || n")


@pytest.mark.parametrize("words", ["key-1199", "Name 1199", "key-11999"])
def test_a_search_among_many_clients_uses_indexes(ada: User, many_clients: None, words: str) -> None:
    request = RequestFactory().get("/", {"q": words})
    request.user = ada
    plan = site.get_model_admin(Client).get_changelist_instance(request).queryset[:100].explain()
    assert "client_key_search" in plan
    assert "client_name_search" in plan
    assert "Seq Scan on limits_client" not in plan


def test_a_search_for_the_last_keys_does_not_scan_all_others(ada: User, many_clients: None) -> None:
    request = RequestFactory().get("/", {"q": "key-9"})
    request.user = ada
    found = site.get_model_admin(Client).get_changelist_instance(request).queryset[:100]
    assert "Rows Removed by Filter" not in found.explain(analyze=True)
    assert [client.key for client in found[:3]] == ["key-9", "key-90", "key-900"]


def test_a_search_keeps_the_selected_order(ada: User, many_clients: None) -> None:
    request = RequestFactory().get("/", {"q": "key-99", "o": "-1"})
    request.user = ada
    found = site.get_model_admin(Client).get_changelist_instance(request).queryset
    assert [client.key for client in found[:2]] == ["key-9999", "key-9998"]


COUNTS = [Usage, PolicyDenial, QuotaThreshold]


@pytest.mark.parametrize("model", COUNTS, ids=lambda model: model.__name__)
def test_a_search_in_usage_by_client_uses_an_index(ada: User, shop: Platform, model: type[Usage]) -> None:
    request = RequestFactory().get("/", {"q": "Acme Ltd/7"})
    request.user = ada
    with connection.cursor() as cursor:
        # The tables are small, so by itself PostgreSQL would scan them sequentially.
        cursor.execute("SET enable_seqscan = off")
        plan = site.get_model_admin(model).get_changelist_instance(request).queryset[:100].explain()
        cursor.execute("RESET enable_seqscan")
    assert "client_key)::text = 'Acme Ltd/7'::text" in plan
    assert "Index Cond" in plan


def test_the_length_of_a_list_is_estimated_or_counted_up_to_a_bound(many_clients: None) -> None:
    estimated = BigTablePaginator(Client.objects.order_by("key"), 100)
    assert estimated.count == MANY + 1
    Client.objects.filter(key__startswith="key-1").delete()
    assert BigTablePaginator(Client.objects.order_by("key"), 100).count == MANY + 1
    assert BigTablePaginator(Client.objects.filter(key__startswith="key-2"), 100).count == 1_111
    assert BigTablePaginator(Client.objects.exclude(key="acme"), 100).count <= 10_000


def test_the_page_of_a_policy_explains_limits_and_offers_every_algorithm(desk: Desk, shop: Platform) -> None:
    page = desk.open(reverse("admin:limits_policy_change", args=[Policy.objects.get().pk]))
    assert "a request must satisfy all of them" in page.text
    form = page.response.context["inline_admin_formsets"][0].formset.forms[0]
    assert [value for value, _ in form.fields["algorithm"].choices] == list(Algorithm)
    assert str(PolicyLimit.objects.get()) == "100 per minute"


@pytest.mark.parametrize("value", ["7", "[1, 2]", "{", "null", '{"a": 1}', '[["x"]]'])
@pytest.mark.parametrize(
    ("model", "field"), [("apitoken", "scopes"), ("alertrule", "emails"), ("alertrule", "webhooks")]
)
def test_invalid_initial_values_in_the_url_are_ignored(desk: Desk, model: str, field: str, value: str) -> None:
    assert desk.client.get(reverse(f"admin:limits_{model}_add"), {field: value}).status_code == 200
