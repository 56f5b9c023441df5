"""The cost of reservations in the admin: on the home page, on the page of a client, and in lists."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from limits.models import Client, Settlement, SettlementDay, SettlementHour, Usage, UsageDay, UsageHour
from limits.monitoring.drain import drain
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.monitoring.counting import Figures, count, count_settlements
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("reserved", "settlements", "settled", "refunded", "debited", "overdrawn")


def settle(client: str, figures: Figures, ago: timedelta = timedelta(), endpoint: str = "search") -> None:
    minute = timezone.now().replace(second=0, microsecond=0) - ago
    named = dict(zip(NAMES, figures, strict=True))
    Settlement.objects.create(minute=minute, client_key=client, endpoint=endpoint, **named)


def words(page: Page) -> str:
    """The text of a page."""
    return " ".join(strip_tags(page.text.replace("<", " <")).split())


def client_page() -> str:
    return reverse("admin:limits_client_change", args=[Client.objects.get(key="acme").pk])


def test_the_home_page_shows_the_cost_of_reservations_of_the_last_day(desk: Desk, shop: Platform) -> None:
    """From the counts in the store, through the drain, to the page."""
    minute = int(timezone.now().timestamp()) // 60
    count(shop, "acme", 2, minute=minute)
    count(shop, "acme", 4_998, kind="A", minute=minute)
    count_settlements(shop, "acme", (5_000, 1, 2_600, 400, 1_000, 250), minute=minute)
    count_settlements(shop, "globex", (1_000, 2, 900, 100, 0, 0), minute=minute)
    drain()
    settle("acme", (70_000, 7, 70_000, 0, 0, 0), timedelta(hours=30))
    text = words(desk.open("/admin/"))
    assert "2 requests: 2 admitted, 0 denied." in text
    assert (
        "Reserved 6,000 cost consumed before the actual cost was known Settled 3,500 actual cost, in 3 settlements "
        "Refunded 500 reserved, but not used Debited 1,000 used beyond the reserved cost, and charges "
        "Overdrawn 250 debited beyond a quota"
    ) in text


def test_pages_without_reservations_do_not_mention_them(desk: Desk, shop: Platform) -> None:
    settle("globex", (10, 1, 10, 0, 0, 0), timedelta(hours=30))
    assert "Overdrawn" not in desk.open("/admin/").text
    assert "Overdrawn" not in desk.open(client_page()).text


def test_the_page_of_a_client_shows_its_reservations_and_those_of_clients_below(desk: Desk, shop: Platform) -> None:
    rows.client("acme-mobile", parent=Client.objects.get(key="acme"))
    settle("acme", (100, 1, 70, 30, 0, 0))
    settle("acme-mobile", (200, 2, 250, 0, 50, 5), timedelta(days=5))
    settle("acme", (9_000, 9, 9_000, 0, 0, 0), timedelta(days=20))
    settle("globex", (50_000, 5, 50_000, 0, 0, 0))
    text = words(desk.open(client_page()))
    for line in ("Reserved 300 cost", "Settled 320 actual cost, in 3 settlements", "Refunded 30 ", "Overdrawn 5 "):
        assert line in text


def test_the_lists_show_all_figures(desk: Desk, shop: Platform) -> None:
    figures = dict(zip(NAMES, (101, 2, 103, 104, 105, 106), strict=True))
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for model, time in ((Settlement, "minute"), (SettlementHour, "hour"), (SettlementDay, "day")):
        model.objects.create(**{time: now}, client_key="", endpoint="", **figures)  # type: ignore[attr-defined]
        text = words(desk.list(model))
        assert "(other) (unknown) 101 2 103 104 105 106" in text
        assert "(other)" not in words(desk.list(model, q="acme"))
        assert "Overdrawn: debited beyond a quota." in text


@pytest.mark.parametrize(
    ("usage", "settlements", "time"),
    [(Usage, Settlement, "minute"), (UsageHour, SettlementHour, "hour"), (UsageDay, SettlementDay, "day")],
)
def test_the_lists_of_usage_link_to_the_cost_of_reservations_if_there_is_any(
    desk: Desk, shop: Platform, usage: type[Model], settlements: type[Model], time: str
) -> None:
    link = f'<a href="/admin/limits/{settlements._meta.model_name}/">Reserved, settled and overdrawn cost</a>'
    assert link not in desk.list(usage).text
    figures = dict.fromkeys(NAMES, 1)
    settlements._default_manager.create(**{time: timezone.now()}, client_key="acme", endpoint="", **figures)
    assert link in desk.list(usage).text
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename=f"view_{usage._meta.model_name}"))
    assert link not in desk_of(reader).list(usage).text
