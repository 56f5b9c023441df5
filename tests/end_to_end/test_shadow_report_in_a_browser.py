"""A policy in shadow mode, in a real browser: from its report to the first denied request."""

from datetime import timedelta

import httpx
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from limits.models import Plan, Policy, PolicyDenial, Progress, Usage, Work
from limits.monitoring.drain import drain
from tests.end_to_end.browser import picture, publish
from tests.end_to_end.shop import ask
from tests.end_to_end.shop import publish as publish_rules
from tests.models import rows
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trial(servers: list[WebServer]) -> Policy:
    """A live policy in shadow mode: three requests per hour for the plan free. No minute is rolled up yet."""
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, timezone.now() - timedelta(days=400))
    row = rows.policy("search-trial", mode="shadow", plan=Plan.objects.get(slug="free"), name="Search, on trial")
    row.limits.update(quota=3, window=3_600)
    publish_rules()
    return row


def would_deny(client: str, requests: int, days: int) -> None:
    moment = timezone.now().replace(minute=20, second=0, microsecond=0) - timedelta(days=days)
    counted = {"minute": moment, "client_key": client, "endpoint": "search"}
    PolicyDenial.objects.create(**counted, policy="search-trial", mode="shadow", requests=requests)
    Usage.objects.create(**counted, outcome="admitted", requests=3 * requests, cost=requests)


def test_a_policy_is_enforced_from_its_report(
    admin: Page, trial: Policy, servers: list[WebServer], http: httpx.Client
) -> None:
    assert [ask(http, servers[number % 2])["status"] for number in range(5)] == [200] * 5
    drain()
    admin.goto("/admin/limits/policy/")
    admin.get_by_role("link", name="Shadow report").click()
    expect(admin.locator("#clients tbody tr")).to_contain_text(["acme"])
    assert admin.locator("#clients tbody .rl-number").all_inner_texts() == ["2", "5"]
    admin.get_by_role("button", name="Enforce now…").click()
    expect(admin.locator("#review")).to_contain_text("enforce")
    publish(admin, "Nobody but acme is affected.")
    expect(admin.get_by_text("is live on every server.")).to_be_visible()
    expect(admin.locator("#state")).to_contain_text("denies requests over its limits")
    expect(admin.get_by_role("button", name="Enforce now…")).to_have_count(0)
    assert [ask(http, server)["status"] for server in servers] == [429, 429]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_fits_on_screens(admin: Page, trial: Policy, width: int) -> None:
    for number in range(60):
        would_deny(f"customer-{number:02}-with-a-long-key", 5_000 - 80 * number, number % 6)
    admin.set_viewport_size({"width": width, "height": 900})
    admin.goto(f"/admin/limits/policy/{trial.pk}/shadow-report")
    expect(admin.locator("#clients tbody tr")).to_have_count(50)
    picture(admin, f"shadow-report-{width}")
    assert admin.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") <= 0
    admin.get_by_role("link", name="Next").click()
    expect(admin.locator("#clients tbody tr")).to_have_count(10)
    admin.get_by_role("textbox", name="Clients").fill("customer-07")
    admin.get_by_role("button", name="Show").click()
    expect(admin.locator("#clients tbody tr")).to_have_count(1)
    admin.get_by_label("To (UTC)").fill("2020-01-01")
    admin.get_by_role("button", name="Show").click()
    expect(admin.locator("#id_until_error")).to_have_text("The last day must not be before the first day.")
    picture(admin, f"shadow-report-error-{width}")
