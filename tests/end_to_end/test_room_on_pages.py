"""The layout of pages: elements have enough distance, and no page is wider than a common screen."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page

from limits.models import Alert, ClientImport, Usage
from tests.end_to_end.browser import serious_findings
from tests.end_to_end.shop import policy, publish
from tests.models import rows

pytestmark = pytest.mark.django_db(transaction=True)

SCREEN = {"width": 1280, "height": 900}


def gap(page: Page, above: str, below: str) -> float:
    """Pixels between the bottom of one element and the top of another."""
    upper, lower = (page.locator(selector).first.bounding_box() for selector in (above, below))
    assert upper
    assert lower
    return lower["y"] - upper["y"] - upper["height"]


def overhang(page: Page, selector: str) -> int:
    """Pixels by which the content of an element is wider than the element."""
    return int(page.locator(selector).first.evaluate("each => each.scrollWidth - each.clientWidth"))


def test_open_alerts_and_unknown_endpoints_have_enough_distance(admin: Page) -> None:
    now = timezone.now()
    Usage.objects.create(client_key="a", endpoint="search", minute=now, outcome="admitted", requests=1, cost=1)
    Alert.objects.create(rule=rows.alert_rule("search-abuse"), group="a", opened_at=now, highest=60)
    admin.goto("/admin/")
    assert gap(admin, "#open-alerts table", "#open-alerts h2:last-of-type") >= 12


def test_the_note_below_the_lines_of_an_import_has_enough_distance(admin: Page) -> None:
    row = ClientImport.objects.create(
        file_name="clients.csv", state="done", added=1, examples=[{"line": 2, "key": "a", "what": "new", "changes": []}]
    )
    admin.goto(reverse("admin:limits_clientimport_change", args=[row.pk]))
    assert gap(admin, "#progress table", "#progress table + p") >= 12


def test_why_an_override_does_not_apply_fits_the_list(admin: Page) -> None:
    admin.set_viewport_size(SCREEN)  # type: ignore[arg-type]
    row = policy("pro-search", (100, 60))
    row.plan = rows.plan("enterprise")
    row.save()
    publish()
    rows.override_limit(rows.override(rows.client("acme", name="The Acme Company Ltd"), row))
    admin.goto(reverse("admin:limits_override_changelist"))
    admin.get_by_text("but the policy is for").wait_for()
    assert overhang(admin, "div:has(> #result_list)") == 0
    assert serious_findings(admin) == []
    admin.emulate_media(color_scheme="dark")
    admin.reload()
    assert serious_findings(admin, "dark") == []


def test_the_page_of_a_user_is_no_wider_than_the_screen(admin: Page) -> None:
    admin.set_viewport_size(SCREEN)  # type: ignore[arg-type]
    admin.goto(reverse("admin:auth_user_change", args=[User.objects.get().pk]))
    admin.locator(".selector-chosen").first.wait_for()
    assert overhang(admin, "html") == 0
