"""Tags of clients in CSV files: imported, previewed, exported."""

import pytest

from limits.models import Client
from tests.admin.desk import Desk
from tests.admin.uploads import exported, run, upload
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def tags() -> dict[str, list[str]]:
    return dict(Client.objects.order_by("key").values_list("key", "tags"))


def test_tags_are_previewed_then_imported_and_live(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["trial"])
    page = upload(desk, "key,tags\nacme,wholesale eu\nglobex,wholesale\n")
    row = page.response.context["row"]
    assert (row.added, row.changed, row.unchanged) == (1, 1, 0)
    assert "tags: <del>trial</del> → <ins>eu wholesale</ins>" in page.text
    assert tags() == {"acme": ["trial"]}

    assert "Imported." in run(desk).text
    assert tags() == {"acme": ["eu", "wholesale"], "globex": ["wholesale"]}
    assert shop.client("acme").tags == ("eu", "wholesale")  # type: ignore[union-attr]
    assert shop.client("globex").tags == ("wholesale",)  # type: ignore[union-attr]


def test_the_history_contains_the_imported_tags(desk: Desk, shop: Platform) -> None:
    upload(desk, "key,tags\nacme,wholesale\n")
    run(desk)
    record = Client.objects.get().history.first()
    assert (record.tags, record.history_change_reason) == (["wholesale"], "The contract list.")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("key,tags\nacme,\n", []),
        ("key,name\nacme,Acme Ltd\n", ["eu", "wholesale"]),
        ("key;Tags\nacme;  Trial   EU \n", ["eu", "trial"]),
        ('key,tags\nacme,"eu, trial"\n', ["eu", "trial"]),
        ("key,tags\nacme,eu eu\n", ["eu"]),
        ("key,tags\nacme,'-x\n", ["-x"]),
        ("key,tags\nacme,-x\n", ["-x"]),
    ],
)
def test_cells_of_tags(desk: Desk, shop: Platform, content: str, expected: list[str]) -> None:
    """An empty cell removes the tags; a file without the column leaves them unchanged."""
    Client.objects.update(tags=["eu", "wholesale"])
    upload(desk, content)
    run(desk)
    assert tags() == {"acme": expected}


def test_tags_in_another_order_are_no_change(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["eu", "wholesale"])
    assert upload(desk, "key,tags\nacme,wholesale eu\n").response.context["row"].unchanged == 1


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("Größe", "Tags: each tag must consist of lowercase letters, digits and hyphens"),
        ("eu;trial", "Tags: each tag must consist of lowercase letters, digits and hyphens"),
        ("x" * 65, "Tags: each tag must have at most 64 characters."),
        (" ".join(f"tag-{number}" for number in range(33)), "Tags: must be at most 32 tags."),
    ],
)
def test_invalid_tags_are_reported_and_nothing_is_imported(desk: Desk, shop: Platform, cell: str, message: str) -> None:
    page = upload(desk, f"key,tags\nglobex,eu\nacme,{cell}\n")
    assert [problem["line"] for problem in page.response.context["row"].problems] == [3]
    assert message in page.text
    run(desk)
    assert tags() == {"acme": []}


def test_exported_tags_are_text_to_spreadsheets_and_can_be_imported_again(desk: Desk, shop: Platform) -> None:
    Client.objects.update(tags=["eu", "wholesale"])
    rows.client("globex", tags=["-1", "2-3"])
    content = exported(desk)
    assert content.split("\r\n") == [
        "\ufeffkey,name,plan,status,tags,parent",
        "acme,,,active,eu wholesale,",
        "globex,,,active,'-1 2-3,",
        "",
    ]
    Client.objects.update(tags=[])
    assert upload(desk, content).response.context["row"].changed == 2
    run(desk)
    assert tags() == {"acme": ["eu", "wholesale"], "globex": ["-1", "2-3"]}
