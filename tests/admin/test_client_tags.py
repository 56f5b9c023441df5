"""Tags of clients: in the form, in the list and its filter, and on many selected clients."""

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse

from limits.models import Client
from limits.models.tags import known_tags
from tests.admin.desk import Desk, Page
from tests.models import many, rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:limits_client_changelist"


def run(desk: Desk, action: str, *clients: Client, query: str = "", **answer: str) -> Page:
    chosen = {"action": action, "_selected_action": [str(client.pk) for client in clients]}
    return Page(desk.client.post(reverse(LIST) + query, chosen | answer, follow=True))


def tags_of(*keys: str) -> list[list[str]]:
    return [Client.objects.get(key=key).tags for key in keys]


def live_tags(shop: Platform, key: str) -> tuple[str, ...]:
    return shop.client(key).tags  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("wholesale", ["wholesale"]),
        ("wholesale eu", ["eu", "wholesale"]),
        (" Wholesale,EU ,, wholesale\t", ["eu", "wholesale"]),
        ("", []),
    ],
)
def test_tags_are_typed_with_spaces_or_commas(desk: Desk, shop: Platform, text: str, tags: list[str]) -> None:
    Client.objects.update(tags=["before"])
    desk.change(Client.objects.get(), tags=text)
    assert tags_of("acme") == [tags]
    assert live_tags(shop, "acme") == tuple(tags)


def test_the_form_shows_the_tags_as_they_are_typed(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["eu", "wholesale"])
    page = desk.open(reverse("admin:limits_client_change", args=[Client.objects.get().pk]))
    assert page.fields["tags"] == "eu, wholesale"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Größe", "Each tag must consist of lowercase letters, digits and hyphens"),
        ("x" * 65, "Each tag must have at most 64 characters."),
        (" ".join(f"tag-{number}" for number in range(33)), "Must be at most 32 tags."),
    ],
)
def test_invalid_tags_are_reported_at_their_field(desk: Desk, shop: Platform, text: str, message: str) -> None:
    page = desk.change(Client.objects.get(), tags=text)
    assert message in page.errors["tags"][0]
    assert tags_of("acme") == [[]]


def test_the_history_of_a_client_shows_changed_tags(desk: Desk, shop: Platform) -> None:
    client = Client.objects.get()
    desk.change(client, tags="wholesale")
    desk.change(client, tags="wholesale eu")
    history = desk.open(reverse("admin:limits_client_history", args=[client.pk])).response.context["entries"]
    assert [entry.changes for entry in history[:2]] == [
        (("tags", "wholesale", "eu, wholesale"),),
        (("tags", "none", "wholesale"),),
    ]


def test_tags_are_added_to_selected_clients_with_a_reason_and_live(desk: Desk, shop: Platform) -> None:
    acme, globex = Client.objects.get(key="acme"), rows.client("globex", tags=["eu"])
    rows.client("initech")
    assert "2 clients:" in run(desk, "add_tags", acme, globex).text
    page = run(desk, "add_tags", acme, globex, _add_tags="1", tags="Wholesale", why="They buy by the pallet.")
    assert "2 clients now tagged wholesale." in page.messages
    assert tags_of("acme", "globex", "initech") == [["wholesale"], ["eu", "wholesale"], []]
    assert live_tags(shop, "globex") == ("eu", "wholesale")
    assert acme.history.first().history_change_reason == "They buy by the pallet."


def test_a_client_that_has_the_tags_is_not_changed(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["eu", "wholesale"])
    client = Client.objects.get()
    page = run(desk, "add_tags", client, _add_tags="1", tags="eu", why="x")
    assert "0 clients now tagged eu." in page.messages
    assert Client.objects.get().revision == client.revision


def test_tags_are_removed_from_selected_clients(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["eu", "wholesale"])
    globex = rows.client("globex")
    page = run(
        desk, "remove_tags", Client.objects.get(key="acme"), globex, _remove_tags="1", tags="eu", why="They left."
    )
    assert "1 client no longer tagged eu." in page.messages
    assert tags_of("acme", "globex") == [["wholesale"], []]
    assert live_tags(shop, "acme") == ("wholesale",)


def test_all_clients_that_match_a_filter_are_changed(desk: Desk, shop: Platform) -> None:
    for number in range(120):
        rows.client(f"shop-{number}", tags=["wholesale"])
    across = {"select_across": "1", "query": "?tag=wholesale"}
    first = Client.objects.get(key="shop-0")
    assert "120 clients:" in run(desk, "add_tags", first, **across).text
    page = run(desk, "add_tags", first, **across, _add_tags="1", tags="eu", why="x")
    assert "120 clients now tagged eu." in page.messages
    assert Client.objects.filter(tags=["eu", "wholesale"]).count() == 120
    assert tags_of("acme") == [[]]


def test_a_client_with_too_many_tags_is_reported_and_left_unchanged(desk: Desk, shop: Platform) -> None:
    full = rows.client("full", tags=[f"tag-{number}" for number in range(32)])
    page = run(desk, "add_tags", full, Client.objects.get(key="acme"), _add_tags="1", tags="eu", why="x")
    assert "1 client now tagged eu." in page.messages
    assert "1 client not changed: a client has at most 32 tags." in page.messages
    assert len(Client.objects.get(key="full").tags) == 32


@pytest.mark.parametrize("action", ["add_tags", "remove_tags"])
@pytest.mark.parametrize(("tags", "why"), [("", "x"), ("Größe", "x"), ("eu", "")])
def test_tags_and_a_reason_are_needed(desk: Desk, shop: Platform, action: str, tags: str, why: str) -> None:
    Client.objects.update(tags=["eu"])
    page = run(desk, action, Client.objects.get(), **{f"_{action}": "1", "tags": tags, "why": why})
    assert page.response.context["form"].errors
    assert tags_of("acme") == [["eu"]]


def test_the_list_shows_tags_and_is_filtered_by_them(desk: Desk, shop: Platform) -> None:
    rows.client("globex", tags=["eu", "wholesale"])
    rows.client("initech", tags=["eu"])
    assert "eu, wholesale" in desk.list(Client).text
    for query, keys in {"eu": ["globex", "initech"], "wholesale, EU": ["globex"], "nothing": []}.items():
        found = desk.list(Client, tag=query).response.context["cl"].result_list
        assert [client.key for client in found] == keys


def test_the_filter_suggests_tags_and_keeps_the_search_and_other_filters(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["wholesale"])
    text = desk.list(Client, q="ac", status__exact="active").text
    assert '<option value="wholesale">' in text
    assert '<input type="hidden" name="q" value="ac">' in text
    assert '<input type="hidden" name="status__exact" value="active">' in text


def test_an_invalid_tag_in_the_url_shows_all_clients(desk: Desk, shop: Platform) -> None:
    page = Page(desk.client.get(reverse(LIST), {"tag": "Größe"}, follow=True))
    assert "This list has no such filter or page, so all rows are shown." in page.messages


def test_a_list_filtered_by_tags_links_to_the_form_that_raises_their_limits(desk: Desk, shop: Platform) -> None:
    link = f'<a href="{reverse("admin:limits_segmentoverride_add")}?tags=eu+wholesale">'
    text = desk.list(Client, tag="wholesale eu").text
    assert f"{link}Raise limits for clients with the tags eu and wholesale…</a>" in text
    assert "Raise limits for" not in desk.list(Client).text


def test_the_page_of_a_client_links_its_tags(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["wholesale"])
    text = desk.open(reverse("admin:limits_client_change", args=[Client.objects.get().pk])).text
    assert f'<a href="{reverse(LIST)}?tag=wholesale">wholesale</a>' in text
    assert f'href="{reverse("admin:limits_segmentoverride_add")}?tags=wholesale"' in text


MANY = 12_000


@pytest.fixture
def many_clients(shop: Platform) -> None:
    tags = "CASE WHEN mod(n, 2000) = 0 THEN ARRAY['wholesale'] ELSE ARRAY['retail'] END"
    many.many_clients(MANY, key="'key-' || to_char(n, 'FM00000')", tags=tags)


@pytest.mark.parametrize("tag", ["wholesale", "nothing"])
def test_the_filter_uses_the_index_of_tags(ada: User, many_clients: None, tag: str) -> None:
    request = RequestFactory().get("/", {"tag": tag})
    request.user = ada
    plan = site.get_model_admin(Client).get_changelist_instance(request).queryset[:100].explain()
    assert "client_tags" in plan
    assert "Seq Scan on limits_client" not in plan


def test_tags_of_older_clients_are_suggested_by_their_frequency(many_clients: None) -> None:
    Client.objects.bulk_create(Client(key=f"new-{number:04}", tags=["new"]) for number in range(1_000))
    assert known_tags() == ["new", "retail", "wholesale"]
