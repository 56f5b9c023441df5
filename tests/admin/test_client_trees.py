"""Parents of clients in the form, in the list and its filters, on deletion, and for many selected clients."""

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from limits.models import Client, Plan
from tests.admin.desk import Desk, Page
from tests.models import many, rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:limits_client_changelist"


@pytest.fixture
def acme(shop: Platform) -> Client:
    """The client acme with the children mobile and batch, and globex without any."""
    acme = Client.objects.get(key="acme")
    rows.client("mobile", parent=acme, name="Mobile app")
    rows.client("batch", parent=acme, plan=Plan.objects.get())
    rows.client("globex")
    return acme


def keys_in(desk: Desk, **query: str) -> list[str]:
    return [client.key for client in desk.list(Client, **query).response.context["cl"].result_list]


def test_a_parent_is_chosen_by_search_and_live_for_the_client_and_all_below_it(
    desk: Desk, shop: Platform, acme: Client
) -> None:
    globex = Client.objects.get(key="globex")
    page = desk.open(reverse("admin:limits_client_change", args=[acme.pk]))
    assert 'data-field-name="parent"' in page.text
    assert page.text.split('name="parent"', 1)[1].split("</select>", 1)[0].count("<option") == 1
    assert "Live on every server: acme." in desk.change(acme, parent=str(globex.pk)).messages
    assert shop.client("acme").root == "globex"  # type: ignore[union-attr]
    assert shop.client("mobile").root == "globex"  # type: ignore[union-attr]


def test_the_search_for_a_parent_finds_a_few_of_many_clients(desk: Desk, acme: Client) -> None:
    query = {"app_label": "limits", "model_name": "client", "field_name": "parent", "term": "mob"}
    found = desk.client.get(reverse("admin:autocomplete"), query).json()["results"]
    assert [each["text"] for each in found] == ["Mobile app"]


@pytest.mark.parametrize(
    ("parent", "message"),
    [("mobile", "“Mobile app” is below “acme”."), ("acme", "A client cannot be its own parent.")],
)
def test_a_circle_is_reported_at_the_parent(desk: Desk, acme: Client, parent: str, message: str) -> None:
    page = desk.change(acme, parent=str(Client.objects.get(key=parent).pk))
    assert page.errors == {"parent": [message]}


def test_a_fifth_level_is_reported_at_the_parent(desk: Desk, acme: Client) -> None:
    third = rows.client("third", parent=rows.client("second", parent=rows.client("first")))
    page = desk.change(acme, parent=str(third.pk))
    assert page.errors == {
        "parent": ["There may be at most 4 levels, from the highest ancestor to the lowest descendant."]
    }


def test_the_list_shows_parents_and_whose_limits_apply(desk: Desk, acme: Client) -> None:
    text = desk.list(Client).text
    assert f'<a class="rl-link" href="{reverse("admin:limits_client_change", args=[acme.pk])}">acme</a>' in text
    admin = site.get_model_admin(Client)
    plans = {client.key: admin.plan_or_default(client) for client in Client.objects.all()}
    assert plans == {"acme": "default plan", "mobile": "limits of acme", "batch": "Free", "globex": "default plan"}


def test_the_list_takes_the_same_number_of_queries_for_any_number_of_parents(desk: Desk, acme: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            desk.list(Client)
        return len(captured)

    before = queries()
    for number in range(20):
        rows.client(f"below-{number}", parent=rows.client(f"above-{number}"))
    assert queries() == before


@pytest.mark.parametrize(
    ("tree", "keys"), [("below", ["batch", "mobile"]), ("parents", ["acme"]), ("single", ["globex"])]
)
def test_the_list_is_filtered_by_the_place_in_a_tree(desk: Desk, acme: Client, tree: str, keys: list[str]) -> None:
    assert keys_in(desk, tree=tree) == keys


def test_the_list_of_children_names_their_parent(desk: Desk, acme: Client) -> None:
    query = {"parent__id__exact": str(acme.pk)}
    assert keys_in(desk, **query) == ["batch", "mobile"]
    assert keys_in(desk, **query, q="mob") == ["mobile"]
    url = reverse("admin:limits_client_change", args=[acme.pk])
    assert f'<a href="{url}">Children of acme</a>' in desk.list(Client, **query).text


@pytest.mark.parametrize("pk", ["acme", "²", "9" * 30, "-1", "0", ""])
def test_the_list_of_children_of_an_invalid_client(desk: Desk, acme: Client, pk: str) -> None:
    response = desk.client.get(reverse(LIST), {"parent__id__exact": pk}, follow=True)
    assert response.status_code == 200
    assert "Children of" not in response.content.decode()


def test_a_client_with_children_is_not_deleted(desk: Desk, acme: Client) -> None:
    address = reverse("admin:limits_client_delete", args=[acme.pk])
    for page in (Page(desk.client.get(address, follow=True)), desk.delete(acme)):
        assert page.messages == ["Nothing was deleted. Remove or move its 2 children first."]
    Client.objects.get(key="batch").delete()
    assert desk.delete(acme).messages == ["Nothing was deleted. Remove or move its child first."]
    assert Client.objects.filter(key="acme").exists()


def test_selected_clients_with_children_are_not_deleted(desk: Desk, acme: Client) -> None:
    globex = Client.objects.get(key="globex")
    page = desk.act("delete_selected", acme, globex)
    assert page.messages == [
        "Nothing was deleted. Remove or move the children of these clients first: acme (2 children)."
    ]
    rows.client("below", parent=globex)
    page = desk.act("delete_selected", acme, globex)
    assert page.messages == [
        "Nothing was deleted. Remove or move the children of these clients first: acme (2 children), globex (1 child)."
    ]
    assert Client.objects.count() == 5


def test_a_whole_tree_is_deleted_together(desk: Desk, acme: Client) -> None:
    page = desk.act("delete_selected", *Client.objects.exclude(key="globex"))
    assert "3 clients deleted." in page.messages
    assert list(Client.objects.values_list("key", flat=True)) == ["globex"]


def test_deleting_a_client_below_a_parent_shows_that_it_leaves_the_tree(desk: Desk, acme: Client) -> None:
    words = "They no longer count towards the limits of a parent."
    for key, shown in (("mobile", True), ("globex", False)):
        address = reverse("admin:limits_client_delete", args=[Client.objects.get(key=key).pk])
        assert (words in desk.open(address).text) == shown


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("blocked", "All requests of the clients below it are denied too."),
        ("exempt", "The clients below it keep their own limits, without those of this client."),
    ],
)
def test_a_change_of_status_shows_its_effect_on_the_clients_below(
    desk: Desk, acme: Client, status: str, words: str
) -> None:
    for key, shown in (("acme", True), ("mobile", False)):
        address = reverse("admin:limits_client_status", args=[Client.objects.get(key=key).pk, status])
        assert (words in desk.open(address).text) == shown


MANY = 12_000


def test_the_list_of_children_uses_an_index(ada: User, shop: Platform) -> None:
    many.many_clients(MANY, key="'key-' || to_char(n, 'FM00000')")
    parent = Client.objects.get(key="key-00000")
    Client.objects.filter(key__startswith="key-0001").update(parent=parent)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE limits_client")
    request = RequestFactory().get("/", {"parent__id__exact": str(parent.pk)})
    request.user = ada
    plan = site.get_model_admin(Client).get_changelist_instance(request).queryset[:100].explain()
    assert "limits_client_parent" in plan
