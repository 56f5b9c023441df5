"""Parents of clients in CSV files: checked for the whole file, previewed, imported in any order, exported."""

import pytest

from limits.configfile import client_files
from limits.models import Client, ClientImport
from tests.admin.desk import Desk
from tests.admin.uploads import exported, run, upload
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def parents() -> dict[str, str | None]:
    return dict(Client.objects.order_by("key").values_list("key", "parent__key"))


def problems_of(desk: Desk, content: str) -> list[tuple[int, str]]:
    row = upload(desk, content).response.context["row"]
    assert (row.state == ClientImport.State.REFUSED) == bool(row.problems)
    return [(problem["line"], problem["message"]) for problem in row.problems]


def test_parents_are_previewed_then_imported_and_live(desk: Desk, shop: Platform) -> None:
    rows.client("mobile")
    page = upload(desk, "key,parent\nmobile,acme\nbatch,acme\n")
    row = page.response.context["row"]
    assert (row.added, row.changed, row.unchanged) == (1, 1, 0)
    assert "parent: <del>none</del> → <ins>acme</ins>" in page.text
    assert parents() == {"acme": None, "mobile": None}

    assert "Imported." in run(desk).text
    assert parents() == {"acme": None, "batch": "acme", "mobile": "acme"}
    assert [shop.client(key).root for key in ("batch", "mobile")] == ["acme", "acme"]  # type: ignore[union-attr]
    history = Client.objects.get(key="mobile").history.first()
    assert (history.history_change_reason, str(history.history_user)) == ("The contract list.", "ada")


@pytest.mark.parametrize("chunk", [1, 2, 2_000])
@pytest.mark.parametrize(
    "lines",
    [
        ["org,", "team,org", "key,team", "acme,org"],
        ["key,team", "acme,org", "team,org", "org,"],
        ["acme,org", "team,org", "key,team", "org,"],
    ],
)
def test_the_order_of_the_lines_does_not_matter(
    desk: Desk, shop: Platform, monkeypatch: pytest.MonkeyPatch, chunk: int, lines: list[str]
) -> None:
    monkeypatch.setattr(client_files, "CHUNK_SIZE", chunk)
    assert problems_of(desk, "\n".join(["key,parent", *lines])) == []
    run(desk)
    assert parents() == {"acme": "org", "key": "team", "org": None, "team": "org"}
    assert shop.client("key").root == "org"  # type: ignore[union-attr]


@pytest.mark.parametrize("chunk", [1, 2_000])
def test_clients_swap_places_and_levels(
    desk: Desk, shop: Platform, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """The new client is below one that is on the fourth level until the end of the import."""
    monkeypatch.setattr(client_files, "CHUNK_SIZE", chunk)
    acme = Client.objects.get()
    four = rows.client("four", parent=rows.client("three", parent=rows.client("two", parent=acme)))
    assert problems_of(desk, f"key,parent\nnew,{four.key}\nacme,two\ntwo,\nfour,two\n") == []
    run(desk)
    assert parents() == {"acme": "two", "two": None, "three": "two", "four": "two", "new": "four"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("key,parent\nmobile,\n", None),
        ("key,name\nmobile,Mobile app\n", "acme"),
        ("key,parent\nmobile,acme\n", "acme"),
    ],
)
def test_cells_of_parents(desk: Desk, shop: Platform, content: str, expected: str | None) -> None:
    """An empty cell removes the parent; a file without the column leaves it unchanged."""
    rows.client("mobile", parent=Client.objects.get())
    upload(desk, content)
    run(desk)
    assert parents()["mobile"] == expected


def test_the_same_parent_is_no_change(desk: Desk, shop: Platform) -> None:
    mobile = rows.client("mobile", parent=Client.objects.get())
    assert upload(desk, "key,parent\nmobile,acme\n").response.context["row"].unchanged == 1
    run(desk)
    assert Client.objects.get(key="mobile").moved == mobile.moved


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ("key,parent\na,gone\nb,a\n", [(2, "parent: there is no client “gone”.")]),
        ("key,parent\na,a\n", [(2, "parent: the client would be below itself (a → a).")]),
        (
            "key,parent\na,b\nb,a\n",
            [
                (2, "parent: the client would be below itself (a → b → a)."),
                (3, "parent: the client would be below itself (b → a → b)."),
            ],
        ),
        (
            "key,parent\na,\nb,a\nc,b\nd,c\ne,d\n",
            [(6, "parent: there would be more than 4 levels (e → d → c → b → a).")],
        ),
        (
            "key,parent,status\na,gone,active\nb,gone,lost\nc,a,\n",
            [
                (2, "parent: there is no client “gone”."),
                (3, "status: “lost” is not a status; use active, exempt or blocked."),
            ],
        ),
        (f"key,parent\na,{'x' * 257}\n", [(2, "parent: must have 1 to 256 characters.")]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2_000])
def test_problems_are_named_with_their_line(
    desk: Desk,
    shop: Platform,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    problems: list[tuple[int, str]],
    chunk: int,
) -> None:
    monkeypatch.setattr(client_files, "CHUNK_SIZE", chunk)
    assert problems_of(desk, content) == problems
    run(desk)
    assert parents() == {"acme": None}


def test_a_circle_with_stored_clients_is_named(desk: Desk, shop: Platform) -> None:
    rows.client("mobile", parent=Client.objects.get())
    assert problems_of(desk, "key,parent\nacme,mobile\n") == [
        (2, "parent: the client would be below itself (acme → mobile → acme).")
    ]


def test_more_problems_than_are_listed_are_counted(desk: Desk, shop: Platform) -> None:
    lines = [f"key-{number},gone" for number in range(150)]
    row = upload(desk, "\n".join(["key,parent", *lines])).response.context["row"]
    assert (row.problem_count, len(row.problems)) == (150, 100)


def test_a_tree_that_changed_since_the_check_fails_with_the_line(desk: Desk, shop: Platform) -> None:
    rows.client("mobile")
    upload(desk, "key,parent,name\nglobex,,Globex\nmobile,acme,\n")
    Client.objects.filter(key="acme").update(parent=Client.objects.get(key="mobile"))
    page = run(desk)
    row = page.response.context["row"]
    assert row.state == ClientImport.State.FAILED
    assert [problem["line"] for problem in row.problems] == [3]
    assert "the client would be below itself (mobile → acme → mobile)" in page.text
    assert parents() == {"acme": "mobile", "globex": None, "mobile": None}


def test_exported_parents_can_be_imported_again(desk: Desk, shop: Platform) -> None:
    rows.client("-mobile", parent=rows.client("=batch", parent=Client.objects.get()))
    content = exported(desk)
    assert set(content.split("\r\n")) == {
        "\ufeffkey,name,plan,status,tags,parent",
        "acme,,,active,,",
        "'=batch,,,active,,acme",
        "'-mobile,,,active,,'=batch",
        "",
    }
    assert upload(desk, content).response.context["row"].unchanged == 3
