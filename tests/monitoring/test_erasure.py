"""After its erasure no data of a client remain in the database, and data of other clients are unchanged."""

import json
from collections.abc import Iterator
from io import StringIO
from urllib.parse import quote

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from limits.admin import client_files
from limits.models import (
    Alert,
    Block,
    Client,
    ClientImport,
    CounterReset,
    Message,
    Progress,
    Publication,
    Usage,
    UsageDay,
    UsageHour,
    Work,
)
from limits.monitoring import erasure
from limits.monitoring.drain import drain
from limits.monitoring.erasure import erase
from limits.monitoring.messages import write_digest, write_message
from limits.publishing.clients import reset_counters
from ratelimit_enforcer.domain.enums import Channel, MessageKind
from ratelimit_enforcer.domain.reservations import Reserve, UnknownReservation
from ratelimit_enforcer.domain.ruleset import Ruleset, digest_of
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_enforcer.store.keys import shard_of
from tests.admin.conftest import ada, desk, shop
from tests.admin.desk import Desk
from tests.models import rows
from tests.monitoring.counting import AT, MINUTE, count, denials, usage
from tests.publishing.platforms import Platform

__all__ = ["ada", "desk", "shop"]

pytestmark = pytest.mark.django_db(transaction=True)

TEXT_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables
    USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
    AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'ARRAY', 'bytea')
"""


@pytest.fixture(autouse=True)
def marks() -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, AT)


def places_that_name(*texts: str) -> Iterator[str]:
    """Columns of all tables with a row that contains one of these texts."""
    with connection.cursor() as cursor:
        cursor.execute(TEXT_COLUMNS)
        for table, column in cursor.fetchall():
            conditions = " OR ".join(f'strpos("{column}"::text, %s) > 0' for _ in texts)
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE {conditions}', texts)
            if cursor.fetchone()[0]:
                yield f"{table}.{column}"


def spelled(key: str) -> set[str]:
    return {key, escape(key), json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1], quote(key)}


@pytest.mark.parametrize("key", ["unique-7", 'uni"que', "Zoë & Söhne/7", "u" * 256])
def test_no_data_of_an_erased_client_remain(desk: Desk, shop: Platform, key: str) -> None:
    create_all_data_of(desk, shop, key)
    before = set(places_that_name(*spelled(key), "Customer-Name"))
    assert len(before) >= 15
    out = StringIO()
    call_command("erase_client", key, stdout=out)
    assert "registration yes" in out.getvalue()
    assert list(places_that_name(*spelled(key), "Customer-Name")) == []
    assert usage()["acme", "search", "admitted"] == (3, 3)


def test_the_block_of_an_erased_client_is_lifted_and_those_of_others_stay(desk: Desk, shop: Platform) -> None:
    endless = {"ends_at_0": "", "ends_at_1": "", "reason": "Scraping."}
    for name in ("client_key", "prefix"):
        desk.add(Block, whom=name, **{name: "unique"} | endless)
    desk.add(Block, client_key="unique-7", **endless)
    out = StringIO()
    call_command("erase_client", "unique", stdout=out)
    assert "The block of “unique” was removed." in out.getvalue()
    assert [block.subject for block in shop.ruleset.blocks] == [("", "unique", ""), ("unique-7", "", "")]
    newest, *earlier = Publication.objects.all()
    assert newest.digest == digest_of(newest.content.encode())
    assert (newest.state, newest.changes) == ("live", [])
    assert [change for each in earlier for change in each.changes if "Block" in change] == [
        "Block of client unique-7 added (end: none; reason: Scraping.).",
        "Block of clients whose key begins with “unique” added (end: none; reason: Scraping.).",
    ]
    restored = [Ruleset.from_bytes(each.content.encode()).blocks for each in earlier]
    assert [len(blocks) for blocks in restored] == [2, 1, 0, 0]


def test_the_block_is_kept_with_the_registration(desk: Desk, shop: Platform) -> None:
    desk.add(Block, client_key="acme", reason="Scraping.")
    call_command("erase_client", "acme", "--keep-registration", stdout=StringIO())
    assert Block.history.filter(client_key="acme").exists()
    assert [block.client for block in shop.ruleset.blocks] == ["acme"]


def test_the_reservations_of_an_erased_client_are_removed(shop: Platform) -> None:
    engine = get_engine()
    reserved = {
        key: engine.check(CheckRequest(key, "search", cost=7, reserve=Reserve())).reservation or ""
        for key in ("acme", "acme-mobile")
    }
    out = StringIO()
    call_command("erase_client", "acme", stdout=out)
    assert out.getvalue().splitlines()[1:] == ["Removed 1 unsettled reservation."]
    with pytest.raises(UnknownReservation):
        engine.settle(reserved["acme"], 5)
    assert engine.settle(reserved["acme-mobile"], 5).refunded == 2
    assert not shop.redis.exists(shop.keys.open_reservations_of(shard_of("acme"), "acme"))


def create_all_data_of(desk: Desk, shop: Platform, key: str) -> None:
    """Creates all kinds of data about a client: registration, changes, override, usage, reset, alerts, imports."""
    policy = rows.policy("search", quota=5)
    desk.add(Client, key=key, name="Customer-Name", plan="", status="active")
    client = Client.objects.get(key=key)
    desk.client.post(reverse("admin:limits_client_status", args=[client.pk, "blocked"]), {"why": "Scraping."})
    rows.override_limit(rows.override(client, policy, reason="Sale"))
    desk.change(client, name="Customer-Name Ltd")
    desk.add(Block, client_key=key, reason="Scraping.")
    desk.change(Block.objects.get(), reason="Still scraping.")
    upload(desk, f'key,name\n"{key.replace(chr(34), chr(34) * 2)}",Customer-Name\nacme,Acme\n')
    for client_key, amount in ((key, 2), ("acme", 3)):
        count(shop, client_key, amount)
        count(shop, client_key, amount, kind="d")
        count(shop, client_key, amount, kind="d", policy="search")
        count(shop, client_key, 1, kind="80", policy="search")
    drain()
    reset_counters(key, reason="Asked for it.", author="ann")
    rows.simulated_client(rows.simulation(), key)
    alert(key, rows.alert_rule("by-client", group_by="client"))
    alert("", rows.alert_rule("all-together"))
    rows.alert_rule("for-one", client_key=key)


def upload(desk: Desk, content: str) -> None:
    file = SimpleUploadedFile("clients.csv", content.encode(), "text/csv")
    desk.client.post(reverse("admin:limits_client_import_clients"), {"file": file, "why": "The contracts."})


def alert(group: str, rule: object) -> Alert:
    """An open alert with one sent message and two waiting ones."""
    row = Alert.objects.create(rule=rule, group=group, opened_at=AT, last_minute=AT, value=60, highest=60)
    sent = write_message(Channel.MAIL, "ops@example.com", row, MessageKind.OPENED, AT)
    Message.objects.filter(pk=sent.pk).update(sent_at=timezone.now(), next_attempt_at=None)
    write_message(Channel.MAIL, "ops@example.com", row, MessageKind.REMINDER, AT)
    write_message(Channel.WEBHOOK, "https://example.com/hook", row, MessageKind.REMINDER, AT)
    return row


def test_waiting_messages_about_others_are_sent_without_the_erased_client(shop: Platform) -> None:
    rule = rows.alert_rule(group_by="client")
    alerts = [alert(key, rule) for key in ("a", "acme", "globex")]
    write_digest(Channel.MAIL, "all@example.com", alerts, MessageKind.OPENED, AT)
    write_digest(Channel.MAIL, "two@example.com", alerts[:2], MessageKind.OPENED, AT)
    erase("a")
    waiting = Message.objects.filter(alerts=alerts[1], sent_at=None).values_list("destination", flat=True)
    assert sorted(waiting) == ["all@example.com", "https://example.com/hook", "ops@example.com", "two@example.com"]
    again = Message.objects.get(destination="all@example.com")
    assert again.subject == "abuse: 2 alerts opened"
    assert "acme was denied" in again.text
    assert "globex was denied" in again.text
    assert "\n- a was" not in again.text
    only = Message.objects.get(destination="two@example.com")
    assert (only.kind, only.subject) == ("opened", "abuse: acme was denied 60 times in a minute")


def test_erasing_a_key_does_not_affect_keys_that_contain_it(shop: Platform) -> None:
    rule = rows.alert_rule(group_by="client")
    for key in ("acme", "acme-mobile", "user:acme", "acmes"):
        alert(key, rule)
    erase("acme")
    assert sorted(Alert.objects.values_list("group", flat=True)) == ["acme-mobile", "acmes", "user:acme"]
    assert Message.objects.count() == 9


@pytest.mark.parametrize("file", ["key;name\nunique-7;Unique\n", "name\tkey\nU\tunique-7\n", "key,name\nunique-7,U\n"])
def test_a_waiting_import_that_contains_the_client_is_rejected(
    desk: Desk, shop: Platform, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr(client_files, "MAX_SYNCHRONOUS_BYTES", 0)
    monkeypatch.setattr(client_files, "_process", lambda request, row: None)
    upload(desk, "key;name\nglobex;Globex\n")
    upload(desk, file)
    assert erase("unique-7").imports == 1
    kept, refused = ClientImport.objects.order_by("id")
    assert (kept.state, bool(kept.content)) == ("checking", True)
    assert (refused.state, refused.content) == ("refused", "")
    assert "named a client that was erased" in refused.problems[0]["message"]


def test_a_waiting_import_with_an_escaped_key_is_rejected(
    desk: Desk, shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export writes such a key with an apostrophe, which an import removes."""
    monkeypatch.setattr(client_files, "MAX_SYNCHRONOUS_BYTES", 0)
    monkeypatch.setattr(client_files, "_process", lambda request, row: None)
    upload(desk, "key,name\n'=1,One\n")
    assert erase("=1").imports == 1


def test_the_registration_can_be_kept(shop: Platform) -> None:
    count(shop, "acme")
    out = StringIO()
    call_command("erase_client", "acme", "--keep-registration", stdout=out)
    assert out.getvalue() == (
        "Erased: usage rows 1, alerts 0, resets 0, imports 0, registration no.\n"
        "“acme” is still registered; new requests are counted under this name.\n"
    )
    assert Client.objects.get().history.count() >= 1


def test_usage_stays_in_the_totals_without_the_name(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ROWS_PER_STATEMENT", 2)
    for minute in range(5):
        count(platform, "acme", 2, minute=MINUTE + minute)
        count(platform, "globex", 3, minute=MINUTE + minute)
    count(platform, "acme", 4, kind="d", policy="tight")
    count(platform, "", 1)
    drain()
    count(platform, "acme", 10)
    rule = rows.alert_rule(group_by="client")
    for group in ("acme", "globex"):
        Alert.objects.create(rule=rule, group=group, opened_at=timezone.now(), highest=60)
    CounterReset.objects.create(client_key="acme", reason="asked", author="ann")
    erased = erase("acme")
    assert (erased.alerts, erased.resets) == (1, 1)
    assert usage() == {("globex", "search", "admitted"): (15, 15), ("", "search", "admitted"): (21, 21)}
    assert denials() == {("", "tight", "enforce"): 4}
    assert [alert.group for alert in Alert.objects.all()] == ["globex"]
    assert "acme" not in str([list(model.objects.values()) for model in (Usage, UsageHour, UsageDay, CounterReset)])


def test_without_the_store_nothing_is_erased(platform: Platform) -> None:
    count(platform, "acme")
    drain()
    platform.make_store_unavailable()
    with pytest.raises(StoreUnavailable):
        erase("acme")
    assert Usage.objects.get().client_key == "acme"
    errors = StringIO()
    with pytest.raises(SystemExit):
        call_command("erase_client", "acme", stderr=errors)
    assert "Nothing was changed" in errors.getvalue()


def test_the_parent_of_other_clients_cannot_be_erased_before_them(shop: Platform) -> None:
    rows.client("key", parent=rows.client("org"))
    errors = StringIO()
    with pytest.raises(SystemExit):
        call_command("erase_client", "org", stderr=errors)
    assert errors.getvalue() == "“org” is the parent of 1 client. Remove them first, or change their parent.\n"
    assert Client.objects.filter(key="org").exists()


def test_an_empty_key_cannot_be_erased() -> None:
    with pytest.raises(ValueError, match="no name"):
        erase("")
