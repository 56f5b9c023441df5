"""Blocks in the admin: the form and the values it is filled in with, the list, and the pages that link to it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from limits.admin.block_form import network_of, prefix_of
from limits.models import Alert, Block, Client, Publication, Usage
from ratelimit_enforcer.domain.enums import Reason
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "admin:limits_block_add"
KEY, NETWORK = "ip:203.0.113.7", "203.0.113.0/24"
CHRISTMAS = {"ends_at_0": "2126-12-24", "ends_at_1": ""}


def reason(client: str, **attributes: str) -> Reason | None:
    return get_engine().check(CheckRequest(client, attributes=attributes), consume=False).reason


def follow(desk: Desk, page: Page, text: str) -> Page:
    """Opens the link with this text, and saves the form behind it unchanged: two clicks."""
    before, found, _ = page.text.partition(f'">{text}</a>')
    assert found, text
    link = urlsplit(before.rpartition('href="')[2].replace("&amp;", "&"))
    query = {name: value for name, (value,) in parse_qs(link.query).items()}
    form = desk.open(link.path, **query)
    assert form.status == 200
    return Page(desk.client.post(link.path, form.fields, follow=True))


@pytest.fixture
def alert(shop: Platform) -> Alert:
    return Alert.objects.create(
        rule=rows.alert_rule("abuse", group_by="client"), group=KEY, opened_at=timezone.now(), highest=60
    )


def alert_page(desk: Desk, alert: Alert) -> Page:
    return desk.open(reverse("admin:limits_alert_change", args=[alert.pk]))


def test_a_network_is_blocked_from_an_alert_in_two_clicks(desk: Desk, alert: Alert) -> None:
    page = follow(desk, alert_page(desk, alert), "Block network…")
    assert "Version 2 is live on every server." in page.messages
    block = Block.objects.get()
    assert (block.client_key, block.prefix, block.network) == ("", "", NETWORK)
    assert block.reason == "Alert “abuse”: 60 requests denied."
    assert timedelta(hours=23, minutes=58) < block.ends_at - timezone.now() <= timedelta(days=1)  # type: ignore[operator]
    assert block.created_by.username == "ada"  # type: ignore[union-attr]
    assert [reason("anyone", ip="203.0.113.99"), reason("anyone", ip="203.0.114.7"), reason(KEY)] == [
        Reason.BLOCKED,
        None,
        None,
    ]


def test_the_client_of_an_alert_is_blocked_in_two_clicks(desk: Desk, alert: Alert) -> None:
    follow(desk, alert_page(desk, alert), "Block until…")
    block = Block.objects.get()
    assert (block.client_key, block.prefix, block.network) == (KEY, "", "")
    assert [reason(KEY), reason("anyone", ip="203.0.113.7")] == [Reason.BLOCKED, None]
    assert not Client.objects.filter(key=KEY).exists()


def test_a_registered_client_and_its_prefix_are_blocked_from_its_page_in_two_clicks(desk: Desk, shop: Platform) -> None:
    client = rows.client("acme-mobile")
    path = reverse("admin:limits_client_change", args=[client.pk])
    follow(desk, desk.open(path), "Block until…")
    follow(desk, desk.open(path), "Block prefix…")
    assert {(row.client_key, row.prefix, row.reason) for row in Block.objects.all()} == {
        ("acme-mobile", "", "Blocked by ada."),
        ("", "acme-", "Blocked by ada."),
    }
    assert [reason("acme-mobile"), reason("acme-web"), reason("acme")] == [Reason.BLOCKED, Reason.BLOCKED, None]


@pytest.mark.parametrize("registered", [True, False])
def test_a_client_is_blocked_from_the_home_page_in_two_clicks(desk: Desk, shop: Platform, registered: bool) -> None:
    if registered:
        rows.client(KEY)
    now = timezone.now().replace(second=0, microsecond=0)
    for outcome, requests in (("denied", 60), ("admitted", 4)):
        Usage.objects.create(
            client_key=KEY, endpoint="search", minute=now, outcome=outcome, requests=requests, cost=requests
        )
    follow(desk, desk.open(reverse("admin:index")), "Block until…")
    block = Block.objects.get()
    assert (block.client_key, block.reason) == (KEY, "60 of 64 requests denied within 24 hours.")


def test_an_unregistered_client_is_blocked_from_its_explanation(desk: Desk, shop: Platform) -> None:
    path = reverse("admin:limits_client_explain")
    follow(desk, desk.open(path, client="bot-7", request="search"), "Block prefix…")
    assert Block.objects.get().prefix == "bot-"
    page = desk.open(path, client="bot-8", request="search")
    assert "The client is blocked: the block of clients whose key begins with “bot-” until " in page.text


@pytest.mark.parametrize(
    ("key", "network"),
    [
        (KEY, NETWORK),
        ("ip:2001:db8:0:1::/64", "2001:db8:0:1::/64"),
        ("ip:2001:db8::7", "2001:db8::/64"),
        ("ip:unknown", ""),
        ("ip:192.0.2.7,198.51.100.7", ""),
        ("203.0.113.7", ""),
    ],
)
def test_the_network_of_a_client(key: str, network: str) -> None:
    assert network_of(key) == network


@pytest.mark.parametrize(
    ("key", "prefix"),
    [("acme-mobile", "acme-"), ("acme-eu-1", "acme-eu-"), ("user:17", "user:"), ("acme", "acme"), ("acme-", "acme-")],
)
def test_the_prefix_of_a_client(key: str, prefix: str) -> None:
    assert prefix_of(key) == prefix


def test_a_date_without_a_time_is_midnight_and_an_end_may_be_removed(desk: Desk, shop: Platform) -> None:
    desk.add(Block, whom="network", network="203.0.113.7", reason="scraping", **CHRISTMAS)
    block = Block.objects.get()
    assert (block.network, block.ends_at) == ("203.0.113.7/32", datetime(2126, 12, 24, tzinfo=UTC))
    desk.change(block, ends_at_0="", ends_at_1="")
    block.refresh_from_db()
    assert block.ends_at is None


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"whom": "client_key"}, {"client_key": ["Enter the key of the client."]}),
        ({"whom": "prefix", "client_key": "a"}, {"prefix": ["Enter the beginning of the keys."]}),
        ({"whom": "network"}, {"network": ["Enter a network."]}),
        (
            {"whom": "network", "network": "203.0.113.7/24"},
            {"network": ["Has bits set after its prefix length: write 203.0.113.0/24."]},
        ),
        (
            {"whom": "network", "network": "acme"},
            {"network": ["Must be a network such as 203.0.113.0/24 or 2001:db8::/48."]},
        ),
        ({"client_key": "a\tb"}, {"client_key": ["A key must not contain control characters."]}),
        ({"client_key": "a", "reason": ""}, {"reason": ["This field is required."]}),
        ({"client_key": "a", "ends_at_0": "2020-01-01"}, {"ends_at": ["The end is in the past."]}),
        ({"client_key": "a", "ends_at_0": "soon"}, {"ends_at": ["Enter a valid date."]}),
    ],
)
def test_a_wrong_block_is_refused_at_its_field(
    desk: Desk, shop: Platform, fields: Mapping[str, str], errors: Mapping[str, list[str]]
) -> None:
    assert desk.add(Block, **{"reason": "x"} | dict(fields)).errors == errors
    assert not Block.objects.exists()


def test_only_the_answer_to_whom_it_is_for_is_saved(desk: Desk, shop: Platform) -> None:
    desk.add(Block, whom="prefix", prefix="bot-", client_key="bot-7", network="no network", reason="x")
    block = Block.objects.get()
    assert (block.client_key, block.prefix, block.network) == ("", "bot-", "")


def test_the_link_to_a_blocked_client_leads_to_its_block(desk: Desk, shop: Platform) -> None:
    block = rows.block(client_key="acme")
    answer = desk.client.get(reverse(ADD), {"client_key": "acme"})
    assert answer["Location"] == reverse("admin:limits_block_change", args=[block.pk])
    assert desk.add(Block, client_key="acme", reason="x").errors == {
        "__all__": ["There is already a block of this client, key prefix or network: change it."]
    }


@pytest.mark.parametrize(
    ("whom", "typed", "stored"),
    [("client_key", "acme", "acme"), ("prefix", "ac", "ac"), ("network", "203.0.113.0/255.255.255.0", NETWORK)],
)
def test_an_ended_block_is_renewed(desk: Desk, shop: Platform, whom: str, typed: str, stored: str) -> None:
    ended = rows.block("first", **{whom: stored}, ends_at=timezone.now())
    desk.add(Block, whom=whom, **{whom: typed}, reason="again", **CHRISTMAS)
    block = Block.objects.get()
    assert (block.pk, block.reason, block.created_at) == (ended.pk, "again", ended.created_at)
    assert [record.reason for record in block.history.all()] == ["again", "first"]


EFFECTS = (
    (
        {"whom": "network", "network": NETWORK, **CHRISTMAS},
        "Denies all requests from 203.0.113.0/24 (256 addresses, 203.0.113.0 to 203.0.113.255), whatever their client, "
        "until 24 Dec 2126, 00:00 UTC.",
    ),
    (
        {"whom": "network", "network": "2001:db8::/64"},
        "Denies all requests from 2001:db8::/64 (2001:db8:: to 2001:db8::ffff:ffff:ffff:ffff), whatever their client, "
        "with no end.",
    ),
    (
        {"whom": "network", "network": "203.0.113.7"},
        "Denies all requests from the address 203.0.113.7, whatever their client, with no end.",
    ),
    (
        {"whom": "prefix", "prefix": "ac"},
        "Denies all requests of clients whose key begins with “ac” (1 registered, and all unregistered ones), with no "
        "end.",
    ),
    ({"whom": "client_key", "client_key": "acme"}, "Denies all requests of the client acme (registered), with no end."),
    ({"whom": "client_key", "client_key": "x"}, "Denies all requests of the client x (unregistered), with no end."),
    (
        {"whom": "network", "network": "203.0.113.7/24"},
        "Has bits set after its prefix length: write 203.0.113.0/24.",
    ),
    ({"whom": "client_key"}, "Enter the key of the client."),
    ({"whom": "everybody"}, "Select a valid choice. everybody is not one of the available choices."),
)


@pytest.mark.parametrize(("typed", "text"), EFFECTS, ids=[text[:40] for _, text in EFFECTS])
def test_the_form_shows_the_effect(desk: Desk, shop: Platform, typed: Mapping[str, str], text: str) -> None:
    assert text in desk.open(reverse("admin:limits_block_effect"), **typed).text
    assert not Block.objects.exists()


def test_the_list_shows_active_and_ended_blocks(desk: Desk, shop: Platform) -> None:
    rows.block(client_key="acme")
    rows.block(network=NETWORK, ends_at=timezone.now())
    for state, names in (("active", ["acme"]), ("ended", [NETWORK]), ("", ["acme", NETWORK])):
        page = desk.list(Block, **({"state": state} if state else {}))
        assert [name for name in ("acme", NETWORK) if name in page.text.partition("result_list")[2]] == names
    assert "Client acme" in desk.list(Block, q="acm").text


def test_selected_blocks_are_ended(desk: Desk, shop: Platform) -> None:
    active, ended = rows.block(client_key="acme"), rows.block(prefix="x", ends_at=timezone.now())
    before = ended.ends_at
    page = desk.act("end_selected", active, ended)
    assert {"Ended 1 block.", "Version 2 is live on every server."} <= set(page.messages)
    ended.refresh_from_db()
    assert ended.ends_at == before
    assert reason("acme") is None
    assert active.history.first().history_user.username == "ada"


def test_a_block_is_deleted_with_a_reason_and_lifted(desk: Desk, shop: Platform) -> None:
    first, second = rows.block(client_key="acme"), rows.block(prefix="bot-")
    desk.add(Block, client_key="other", reason="x")
    assert [reason("acme"), reason("bot-7")] == [Reason.BLOCKED, Reason.BLOCKED]
    page = desk.delete(first)
    assert "Version 3 is live on every server." in page.messages
    assert [reason("acme"), reason("bot-7")] == [None, Reason.BLOCKED]
    desk.act("delete_selected", second)
    assert reason("bot-7") is None
    publication = Publication.objects.latest("sequence")
    assert (publication.reason, publication.changes) == (
        "Somebody asked for it.",
        ["Block of clients whose key begins with “bot-” removed."],
    )
    assert Block.history.filter(id=second.pk).first().history_change_reason == "Somebody asked for it."


def test_the_page_of_a_client_names_its_block(desk: Desk, shop: Platform) -> None:
    desk.add(Block, whom="prefix", prefix="ac", reason="fraud", **CHRISTMAS)
    page = desk.open(reverse("admin:limits_client_change", args=[Client.objects.get().pk]))
    assert "All requests are denied, regardless of limits." in page.text
    assert (
        "The reason is the block of clients whose key begins with “ac” until 24 Dec 2126, 00:00 UTC (reason: fraud)."
        in page.text
    )


def test_a_viewer_sees_blocks_and_no_links(shop: Platform, alert: Alert) -> None:
    user = User.objects.create_user("vera", is_staff=True)
    user.user_permissions.set(
        [each for each in _view_permissions() if each.codename in ("view_block", "view_alert", "view_client")]
    )
    desk = desk_of(user)
    block = rows.block(network=NETWORK)
    page = desk.open(reverse("admin:limits_block_change", args=[block.pk]))
    assert "Addresses in 203.0.113.0/24" in page.text
    assert "Denies all requests from 203.0.113.0/24" in page.text
    assert "Block until…" not in alert_page(desk, alert).text
    for path in (reverse(ADD), reverse("admin:limits_block_effect")):
        assert desk.client.get(path).status_code == 403
    assert desk.client.post(reverse("admin:limits_block_change", args=[block.pk]), {"reason": "x"}).status_code == 403
    assert Block.objects.get().reason == "abuse"


def _view_permissions() -> list[Permission]:
    return list(Permission.objects.filter(content_type__app_label="limits", codename__startswith="view_"))
