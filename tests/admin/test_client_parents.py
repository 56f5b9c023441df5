"""Moving selected clients below a parent."""

import pytest
from django.urls import reverse

from limits.admin import client_bulk
from limits.models import Client
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:limits_client_changelist"


@pytest.fixture
def acme(shop: Platform) -> Client:
    for key in ("key-1", "key-2", "key-3"):
        rows.client(key)
    return Client.objects.get(key="acme")


def move(desk: Desk, *keys: str, query: str = "", **answer: str) -> Page:
    pks = [str(Client.objects.get(key=key).pk) for key in keys]
    chosen = {"action": "move_below_parent", "_selected_action": pks}
    return Page(desk.client.post(reverse(LIST) + query, chosen | answer, follow=True))


def move_below(desk: Desk, parent: str, *keys: str, **more: str) -> Page:
    pk = str(Client.objects.get(key=parent).pk) if parent else ""
    return move(desk, *keys, _move_below="1", parent=pk, why=more.pop("why", "They share a quota."), **more)


def parents() -> dict[str, str | None]:
    return dict(Client.objects.values_list("key", "parent__key"))


def errors(page: Page) -> list[str]:
    return list(page.response.context["form"].errors["parent"])


def test_selected_clients_are_moved_with_a_reason_and_live(desk: Desk, shop: Platform, acme: Client) -> None:
    rows.client("below", parent=Client.objects.get(key="key-1"))
    page = move(desk, "key-1", "key-2")
    assert "2 clients:" in page.text
    assert "select2" in page.text
    page = move_below(desk, "acme", "key-1", "key-2")
    assert "2 clients moved below acme." in page.messages
    assert "Live on every server: key-1, key-2." in page.messages
    assert parents() == {"acme": None, "key-1": "acme", "key-2": "acme", "key-3": None, "below": "key-1"}
    assert [shop.client(key).root for key in ("key-1", "below")] == ["acme", "acme"]  # type: ignore[union-attr]
    assert Client.objects.get(key="key-1").history.first().history_change_reason == "They share a quota."


def test_selected_clients_lose_their_parent(desk: Desk, shop: Platform, acme: Client) -> None:
    move_below(desk, "acme", "key-1", "key-2")
    assert "1 client now without a parent." in move_below(desk, "", "key-1", "key-3").messages
    assert parents() == {"acme": None, "key-1": None, "key-2": "acme", "key-3": None}
    assert shop.client("key-1").root is None  # type: ignore[union-attr]


def test_a_client_that_has_the_parent_keeps_its_counters(desk: Desk, acme: Client) -> None:
    move_below(desk, "acme", "key-1")
    moved = Client.objects.get(key="key-1").moved
    assert "1 client moved below acme." in move_below(desk, "acme", "key-1", "key-2").messages
    assert Client.objects.get(key="key-1").moved == moved


def test_a_whole_tree_becomes_flat(desk: Desk, acme: Client) -> None:
    move_below(desk, "key-1", "key-2")
    move_below(desk, "key-2", "key-3")
    holding = rows.client("holding")
    Client.objects.filter(key="acme").update(parent=holding)
    move_below(desk, "acme", "key-1", "key-2", "key-3")
    assert {parent for key, parent in parents().items() if key.startswith("key")} == {"acme"}


def test_circles_and_too_many_levels_are_named_with_their_client(desk: Desk, acme: Client) -> None:
    move_below(desk, "acme", "key-1")
    assert errors(move_below(desk, "key-1", "acme")) == [
        "acme: the client would be below itself (acme → key-1 → acme)."
    ]
    move_below(desk, "key-1", "key-2")
    move_below(desk, "key-2", "key-3")
    rows.client("key-4")
    assert errors(move_below(desk, "key-3", "key-4")) == [
        "key-4: there would be more than 4 levels (key-4 → key-3 → key-2 → key-1 → acme)."
    ]
    assert parents()["key-4"] is None


def test_of_many_problems_the_first_are_named(desk: Desk, acme: Client) -> None:
    move_below(desk, "acme", "key-1")
    move_below(desk, "key-1", "key-2")
    move_below(desk, "key-2", "key-3")
    for number in range(7):
        rows.client(f"more-{number}")
    found = errors(move_below(desk, "key-3", *(f"more-{number}" for number in range(7))))
    assert (len(found), found[5]) == (6, "… and others.")


@pytest.mark.parametrize("given", [{"parent": "x"}, {"parent": "9" * 18}, {"why": ""}])
def test_invalid_answers_are_reported(desk: Desk, acme: Client, given: dict[str, str]) -> None:
    answer = {"_move_below": "1", "parent": str(acme.pk), "why": "x"} | given
    assert move(desk, "key-1", **answer).response.context["form"].errors.keys() == given.keys()
    assert parents()["key-1"] is None


def test_a_simultaneous_change_of_the_tree_is_reported(
    desk: Desk, acme: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other change is made after the validation."""

    def overtaken(parents: dict[str, str | None]) -> None:
        Client.objects.filter(key="acme").update(parent=Client.objects.get(key="key-1"))
        write_parents(parents)

    write_parents = client_bulk.write_parents
    monkeypatch.setattr(client_bulk, "write_parents", overtaken)
    page = move_below(desk, "acme", "key-1")
    assert page.messages == ["Nothing was moved: another user moved clients of these trees at the same time."]
    assert parents()["key-1"] is None


def test_all_clients_that_match_a_search_are_moved(desk: Desk, acme: Client) -> None:
    Client.objects.bulk_create(Client(key=f"promo-{number:04}") for number in range(1_100))
    across = {"select_across": "1", "query": "?q=promo"}
    assert "1,100 clients:" in move(desk, "promo-0000", **across).text
    page = move_below(desk, "acme", "promo-0000", **across)
    assert "1,100 clients moved below acme." in page.messages
    assert acme.children.count() == 1_100
