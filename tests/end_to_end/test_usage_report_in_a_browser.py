"""The usage report in a real browser: on small and large screens, and as a file."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from limits.models import Progress, RecordedClient, Usage, Work
from tests.end_to_end.browser import SCHEMES, picture, serious_findings, switch_to
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def used(servers: list[WebServer]) -> None:
    """Forty days of requests, of which nothing is rolled up."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, now - timedelta(days=400))
    begin = now - timedelta(days=100)
    for number in range(30):
        key = f"customer-{number:02}-with-a-long-key"
        RecordedClient.objects.create(
            client_key=key, from_hour=begin, plan="pro", on_default=False, tags=["eu"], root=key
        )
        for day in range(0, 40, 3):
            counted = {"minute": now - timedelta(days=day), "client_key": key, "endpoint": "search"}
            Usage.objects.create(**counted, outcome="admitted", requests=1_000 + number * day, cost=5_000)
            Usage.objects.create(**counted, outcome="denied", requests=40 + number, cost=50)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_fits_on_screens_and_is_exported(admin: Page, used: None, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": 900})
    admin.goto("/admin/limits/usage/report/")
    expect(admin.locator("#rows tbody tr")).to_have_count(30)
    for scheme in SCHEMES:
        switch_to(admin, scheme)
        picture(admin, f"usage-report-{width}", scheme)
        assert serious_findings(admin, scheme) == []
    assert admin.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") <= 0
    admin.get_by_label("And by").select_option("month")
    admin.get_by_text("Filters").click()
    admin.get_by_label("Plan").fill("pro")
    admin.get_by_role("button", name="Show").click()
    expect(admin.locator("#rows thead th").first).to_have_text("Month")
    with admin.expect_download() as download:
        admin.get_by_role("link", name="Export").click()
    assert Path(download.value.path()).read_text(encoding="utf-8-sig").startswith("month,client,requests")
    admin.get_by_label("Plan").fill("none-such")
    admin.get_by_role("button", name="Show").click()
    expect(admin.locator("#missing")).to_contain_text("Nothing was counted in these days.")
