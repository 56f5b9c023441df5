"""Parents of clients in the config file: applied together, rejected with their place, exported."""

import pytest

from limits.configfile.apply import apply
from limits.configfile.document import read
from limits.configfile.export import export
from limits.configfile.reading import InvalidConfig, describe
from limits.models import Client
from tests.models import rows

pytestmark = pytest.mark.django_db


def parents() -> dict[str, str | None]:
    return dict(Client.objects.values_list("key", "parent__key"))


def apply_clients(*clients: str, **options: bool) -> None:
    text = "plans: [{slug: free, default: true}]\nclients:\n" + "".join(f"  - {{{client}}}\n" for client in clients)
    apply(read(text), author="test", **options)


def problems(*clients: str, **options: bool) -> dict[str, str]:
    with pytest.raises(InvalidConfig) as error:
        apply_clients(*clients, **options)
    return dict(describe(problem).split(": ", 1) for problem in error.value.problems)


def test_a_child_may_precede_its_parent() -> None:
    apply_clients("key: key, parent: team", "key: team, parent: org", "key: org")
    assert parents() == {"key": "team", "team": "org", "org": None}


def test_a_file_moves_clients_and_an_absent_parent_removes_it() -> None:
    apply_clients("key: org", "key: team, parent: org", "key: key, parent: team")
    apply_clients("key: team", "key: key, parent: org")
    assert parents() == {"org": None, "team": None, "key": "org"}


def test_two_clients_swap_places() -> None:
    apply_clients("key: a", "key: b, parent: a")
    apply_clients("key: a, parent: b", "key: b")
    assert parents() == {"a": "b", "b": None}


def test_a_parent_may_be_a_stored_client() -> None:
    rows.client("org")
    apply_clients("key: key, parent: org")
    assert parents()["key"] == "org"


def test_an_unchanged_tree_is_not_written() -> None:
    clients = ("key: org", "key: team, parent: org")
    apply_clients(*clients)
    before = dict(Client.objects.values_list("key", "revision"))
    apply_clients(*clients)
    assert dict(Client.objects.values_list("key", "revision")) == before


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        (["key: key, parent: nobody"], {"clients[0].parent": "there is no client “nobody”."}),
        (["key: key, parent: key"], {"clients[0].parent": "the client would be below itself (key → key)."}),
        (
            ["key: a, parent: b", "key: b, parent: a"],
            {
                "clients[0].parent": "the client would be below itself (a → b → a).",
                "clients[1].parent": "the client would be below itself (b → a → b).",
            },
        ),
        (
            ["key: a", "key: b, parent: a", "key: c, parent: b", "key: d, parent: c", "key: e, parent: d"],
            {"clients[4].parent": "there would be more than 4 levels (e → d → c → b → a)."},
        ),
        (["key: key, parent: ''"], {"clients[0].parent": "must have 1 to 256 characters."}),
    ],
)
def test_a_wrong_parent_is_reported_with_its_place(clients: list[str], expected: dict[str, str]) -> None:
    assert problems(*clients) == expected
    assert not Client.objects.exists()


def test_stored_clients_below_those_in_the_file_count_too() -> None:
    apply_clients("key: a", "key: b, parent: a", "key: c, parent: b")
    assert problems("key: top", "key: above, parent: top", "key: a, parent: above") == {
        "clients[2].parent": "there would be more than 4 levels (c → b → a → above → top)."
    }
    assert problems("key: a, parent: c") == {"clients[0].parent": "the client would be below itself (a → c → b → a)."}


def test_a_client_that_is_pruned_is_no_parent() -> None:
    rows.client("org")
    assert problems("key: key, parent: org", prune_clients=True) == {"clients[0].parent": "there is no client “org”."}
    apply_clients("key: top", "key: org, parent: top", "key: key, parent: org")
    apply_clients("key: top", prune_clients=True)
    assert parents() == {"top": None}


def test_an_export_is_applied_unchanged() -> None:
    apply_clients("key: org", "key: team, parent: org")
    text = export()
    assert "parent: org" in text
    Client.objects.all().delete()
    apply(read(text), author="test")
    assert parents() == {"org": None, "team": "org"}
