"""The list of quotas in use, the export of it, and the monthly peaks on the page of a client."""

import csv
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from limits.models import Client, QuotaPeak, QuotaReading
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def read(client: str, percent: int, **fields: Any) -> QuotaReading:
    now = timezone.now()
    defaults = {"policy": "all", "read_at": now, "unused_at": now, "peak_percent": percent, "peak_at": now}
    used = {"limit": "all:60s", "used": percent * 10, "capacity": 1_000, "percent": percent}
    return QuotaReading.objects.create(client_key=client, **defaults | used | fields)


@pytest.fixture
def used(shop: Platform) -> None:
    """Three clients: acme on the plan pro with a tag, globex and =initech on the default plan."""
    rows.plan("pro", name="Pro")
    Client.objects.filter(key="acme").delete()
    rows.client("acme", name="Acme Ltd", plan_id=rows.plan("gold", name="Gold").pk, tags=["wholesale"])
    rows.client("globex")
    rows.client("=initech")
    read("acme", 93)
    read("globex", 120)
    read("=initech", 5, peak_percent=85)


def clients(page: Page) -> list[str]:
    return [row.client_key for row in page.response.context["cl"].result_list]


def test_the_fullest_quotas_come_first(desk: Desk, used: None) -> None:
    page = desk.list(QuotaReading)
    assert clients(page) == ["globex", "acme", "=initech"]
    text = " ".join(strip_tags(page.text.replace("<", " <")).split())
    assert "acme Gold all:60s 93 % 930 of 1,000 93 % on" in text
    assert reverse("admin:limits_client_change", args=[Client.objects.get(key="acme").pk]) in page.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"plan": "gold"}, ["acme"]),
        ({"plan": "pro"}, []),
        ({"plan": "(none)"}, ["globex", "=initech"]),
        ({"tag": "wholesale"}, ["acme"]),
        ({"used": "90"}, ["globex", "acme"]),
        ({"used": "100", "plan": "gold"}, []),
        ({"peak": "80"}, ["globex", "acme", "=initech"]),
        ({"q": "acme"}, ["acme"]),
    ],
)
def test_the_list_is_filtered(desk: Desk, used: None, query: dict[str, str], expected: list[str]) -> None:
    assert clients(desk.list(QuotaReading, **query)) == expected


def test_the_list_is_sorted_by_the_peak(desk: Desk, used: None) -> None:
    QuotaReading.objects.filter(client_key="=initech").update(peak_percent=99)
    shown = desk.list(QuotaReading).response.context["cl"].list_display
    assert clients(desk.list(QuotaReading, o=f"-{shown.index('peak')}")) == ["globex", "=initech", "acme"]


def test_the_filtered_list_is_exported(desk: Desk, used: None) -> None:
    page = desk.list(QuotaReading, used="90")
    (url,) = [url for _, url in page.response.context["introduction_urls"]]
    assert url in page.text.replace("&amp;", "&")
    response = desk.client.get(url)
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    header, *found = csv.reader(StringIO(text))
    assert header[:4] == ["client", "name", "plan", "tags"]
    assert [row[:10] for row in found] == [
        ["globex", "", "", "", "all:60s", "all", "", "1200", "1000", "120"],
        ["acme", "Acme Ltd", "Gold", "wholesale", "all:60s", "all", "", "930", "1000", "93"],
    ]


def test_cells_of_the_export_are_no_formulas(desk: Desk, used: None) -> None:
    response = desk.client.get(reverse("admin:limits_quotareading_export"), {"q": "=initech"})
    assert b"".join(response.streaming_content).decode().splitlines()[1].startswith("'=initech,")


def test_the_export_needs_the_permission_of_the_list(used: None) -> None:
    visitor = User.objects.create_user("visitor", is_staff=True)
    assert desk_of(visitor).open(reverse("admin:limits_quotareading_export")).status == 403


def test_the_page_of_a_client_has_the_peaks_of_twelve_months(desk: Desk, shop: Platform) -> None:
    today = timezone.now()
    for age, percent in ((0, 40), (1, 97), (11, 12), (12, 66)):
        month = _month(today, age)
        peak = {"used": percent, "capacity": 100, "percent": percent, "at": today}
        QuotaPeak.objects.create(client_key="acme", limit="all:60s", month=month, **peak)
    url = reverse("admin:limits_client_change", args=[Client.objects.get(key="acme").pk])
    text = " ".join(strip_tags(desk.open(url).text.replace("<", " <")).split())
    assert f"Month all:60s {today:%B %Y} 40 % 40 of 100 {_month(today, 1):%B %Y} 97 % 97 of 100" in text
    assert "12 % 12 of 100" in text
    assert "66 %" not in text


def _month(today: datetime, age: int) -> date:
    """The first day of the month that was ``age`` months ago."""
    day = today.date().replace(day=1)
    for _ in range(age):
        day = (day - timedelta(days=1)).replace(day=1)
    return day
