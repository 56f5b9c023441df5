"""The unsettled reservations of a client, on the client's page."""

import re
import struct

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from limits.models import Client, Policy
from limits.publishing import clients, rules
from limits.store.client import control_client_of
from limits.store.clients import CounterResetter
from limits.store.open_reservations import ClientReservations
from ratelimit_enforcer.domain.dates import moment_of
from ratelimit_enforcer.domain.reservations import ReservationId, Reserve
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.store.reservations import OpenRecord, read_record
from ratelimit_platform.embedded.redis import free_port
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

DAY_US = 86_400_000_000


def address(page: str = "change", key: str = "acme") -> str:
    return reverse(f"admin:limits_client_{page}", args=[Client.objects.get(key=key).pk])


def live() -> None:
    rules.record("test")
    assert rules.deliver().live
    assert clients.deliver().live


@pytest.fixture
def search(shop: Platform) -> Platform:
    """At most three concurrent searches of a client, each for at most ten minutes."""
    places = rows.policy("slow", quota=3, endpoint=rows.endpoint("search", name="Search"))
    places.limits.update(algorithm="concurrency", window=600)
    live()
    return shop


def reserve(cost: int = 1, *, client: str = "acme", endpoint: str = "", ttl: int = 60) -> ReservationId:
    request = CheckRequest(client, endpoint or "elsewhere", cost=cost, reserve=Reserve(ttl=ttl))
    return ReservationId.parse(get_engine().check(request).reservation or "")


def table(page: Page) -> list[list[str]]:
    """The cells of the table of unsettled reservations."""
    found = re.search(r'<table[^>]*id="unsettled-reservations">.*?</table>', page.text, re.DOTALL)
    lines = re.findall(r"<tr>(.*?)</tr>", found[0] if found else "", re.DOTALL)
    return [[strip_tags(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)] for line in lines]


def stored(platform: Platform) -> ClientReservations:
    return ClientReservations(platform.redis, platform.keys)


def expire(platform: Platform, found: ReservationId) -> int:
    """Changes the record of a reservation into one that expired a second ago. Returns the time."""
    key = platform.keys.reservation(found.shard, found.name)
    content, now = platform.redis.get(key), stored(platform).read("acme", found.shard, 1).now
    record = read_record(content)
    assert isinstance(record, OpenRecord)
    packed = [struct.pack(">Q", moment) for moment in (record.expires_at, now - 1_000_000)]
    platform.redis.set(key, content.replace(*packed))
    return now - 1_000_000


def at(microseconds: int) -> str:
    return f"{moment_of(microseconds):%-d %b %Y, %H:%M:%S}"


@pytest.mark.parametrize("page", ["change", "current_limits"])
def test_a_client_without_reservations_has_no_table(desk: Desk, search: Platform, page: str) -> None:
    reserve(client="globex")
    get_engine().settle(str(reserve()), 1)
    assert "nsettled reservations" not in desk.open(address(page)).text


@pytest.mark.parametrize("page", ["change", "current_limits"])
def test_reservations_and_places_are_listed(desk: Desk, search: Platform, page: str) -> None:
    get_engine().check(CheckRequest("acme", "search", cost=4))
    reserve(50)
    reserve(3, endpoint="search", ttl=3_600)
    opened = desk.open(address(page))
    assert "Unsettled reservations (times in UTC)" in strip_tags(opened.text)
    heading, *lines = table(opened)
    assert heading == ["Made", "Kind", "Endpoint", "Cost", "Settlement", "Places held"]
    newest, without_place, check = lines
    made = [each.record.made_at for each in stored(search).read("acme", shard_of("acme"), 50).newest]
    assert newest == [
        at(made[0]),
        "reservation",
        "search",
        "3",
        f"refundable until {at(made[0] + 3_600_000_000)}",
        f"1 until {at(made[0] + 600_000_000)}",
    ]
    assert without_place[1:] == ["reservation", "(unknown)", "50", f"refundable until {at(made[1] + 60_000_000)}", ""]
    ends = at(made[2] + 600_000_000)
    assert check[1:] == ["check", "search", "4", f"refundable until {ends}", f"1 until {ends}"]


def test_an_expired_reservation_is_still_debited(desk: Desk, search: Platform) -> None:
    found = reserve()
    until = expire(search, found)
    (line,) = table(desk.open(address()))[1:]
    assert line[4] == f"expired; an excess is still debited until {at(until + DAY_US)}"


def test_places_freed_by_a_reset_are_not_listed(desk: Desk, search: Platform) -> None:
    reserve(endpoint="search")
    CounterResetter(search.redis, search.keys).erase("acme", ["all", "slow"])
    assert [line[5] for line in table(desk.open(address()))[1:]] == [""]


def test_the_newest_fifty_are_listed_with_the_number_of_others(desk: Desk, shop: Platform) -> None:
    Policy.objects.get().limits.update(quota=10_000)
    live()
    for cost in range(1, 53):
        reserve(cost)
    page = desk.open(address())
    costs = [int(line[3]) for line in table(page)[1:]]
    assert costs == list(range(52, 2, -1))
    assert "and 2 more" in page.text


def test_those_of_a_child_are_in_the_shard_of_its_root(desk: Desk, shop: Platform) -> None:
    rows.client("acme-mobile", parent=Client.objects.get(key="acme"))
    live()
    assert reserve(7, client="acme-mobile").shard == shard_of("acme")
    assert [line[3] for line in table(desk.open(address(key="acme-mobile")))[1:]] == ["7"]
    assert table(desk.open(address())) == []


@pytest.mark.parametrize("page", ["change", "current_limits"])
def test_without_the_store_the_outage_is_reported_once(desk: Desk, shop: Platform, page: str) -> None:
    reserve()
    shop.make_store_unavailable()
    text = desk.open(address(page)).text
    assert text.count("Redis is unavailable, so current usage is unknown.") == 1
    assert "nsettled reservations" not in text


def test_an_outage_after_the_counters_were_read_is_reported(
    desk: Desk, shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = control_client_of(parse(f"redis://127.0.0.1:{free_port()}"))
    monkeypatch.setattr("limits.admin.open_reservations.control_client", lambda: gone)
    text = desk.open(address("current_limits")).text
    assert text.count("Redis is unavailable, so current usage is unknown.") == 1
    assert "all:60s" not in text
