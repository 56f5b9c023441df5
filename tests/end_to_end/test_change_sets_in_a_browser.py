"""A change set in a real browser: edits in one draft, simulated, approved by a second person, scheduled, live at that
moment on a server that nobody tells, and undone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from limits.changes.due import apply_pending
from limits.models import ChangeSet, Plan, Simulation, Usage
from limits.models.roles import PRODUCT_MANAGERS, create_roles
from limits.publishing import rules
from limits.simulation import running
from limits.store.client import control_client
from tests.end_to_end.browser import log_in, picture
from tests.end_to_end.shop import ask, policy, publish
from tests.support.web import WebServer, running_servers

pytestmark = pytest.mark.django_db(transaction=True)

NOTICE = timedelta(seconds=20)
"""Between the schedule and its begin: time for filling in and sending the form."""


@pytest.fixture
def strict(live_rules: None) -> Iterator[WebServer]:
    """A server of a platform where changes need approval."""
    with running_servers(1, APPROVAL_REQUIRED="on") as (server,):
        yield server


def manager(page: Page, name: str) -> None:
    """Opens the admin as a new product manager."""
    create_roles(Group.objects, Permission.objects)
    user = User.objects.create_user(name, f"{name}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=PRODUCT_MANAGERS))
    page.context.clear_cookies()
    log_in(page, user)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Nothing of it is live yet.")).to_be_visible()


def store_time() -> datetime:
    seconds, microseconds = control_client().time()  # type: ignore[union-attr]
    return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)


def test_three_edits_are_approved_scheduled_live_and_undone(page: Page, strict: WebServer, http: httpx.Client) -> None:
    row = policy("all", (1_000, 3_600))
    publish()
    url = strict.url
    manager(page, "pam")

    page.goto(f"{url}{reverse('admin:limits_changeset_add')}")
    page.locator("[name=name]").fill("Black Friday")
    page.locator("[name=reason]").fill("Twice the quota for the sale.")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("You work in the draft")).to_be_visible()
    change = ChangeSet.objects.get()

    page.goto(f"{url}{reverse('admin:limits_policy_change', args=[row.pk])}")
    page.locator("[name=limits-0-quota]").fill("2000")
    save(page)
    page.goto(f"{url}{reverse('admin:limits_plan_add')}")
    page.locator("[name=name]").fill("Gold")
    page.keyboard.press("Tab")
    expect(page.locator("[name=slug]")).to_have_value("gold")
    save(page)
    page.goto(f"{url}{reverse('admin:limits_plan_change', args=[Plan.objects.get(slug='pro').pk])}")
    page.locator("[name=name]").fill("Professional")
    save(page)
    assert not Plan.objects.filter(slug="gold").exists()

    page.goto(f"{url}{reverse('admin:limits_changeset_change', args=[change.pk])}")
    expect(page.locator("#differences")).to_contain_text("1,000 per hour")
    expect(page.locator("#differences")).to_contain_text("2,000 per hour")
    expect(page.locator("#differences")).to_contain_text("gold")
    picture(page, "change-set-draft")
    simulate(page)
    page.goto(f"{url}{reverse('admin:limits_changeset_change', args=[change.pk])}")
    page.get_by_role("button", name="Submit for approval").click()
    expect(page.get_by_text("awaits the approval of another person")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)

    manager(page, "max")
    page.goto(f"{url}{reverse('admin:limits_changeset_change', args=[change.pk])}")
    picture(page, "change-set-approval")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("is approved, and can be published now.")).to_be_visible()

    begins = (store_time() + NOTICE).replace(microsecond=0)
    page.get_by_role("link", name="Schedule…").click()
    page.locator("[name=publish_at_0]").fill(f"{begins:%Y-%m-%d}")
    page.locator("[name=publish_at_1]").fill(f"{begins:%H:%M:%S}")
    picture(page, "change-set-schedule")
    page.get_by_role("button", name="Schedule").click()
    expect(page.get_by_text("“Black Friday” begins on")).to_be_visible()
    assert before_and_after(http, strict, begins) == ([1_000], [2_000])

    apply_pending()
    assert rules.deliver().live
    change.refresh_from_db()
    assert (change.state, Plan.objects.filter(slug="gold").exists()) == (ChangeSet.State.PUBLISHED, True)
    undo(page, url, change)
    assert quota(ask(http, strict)) == 1_000


def simulate(page: Page) -> None:
    """Over an hour with 1,500 requests in one minute: 500 are denied now, and none with the change set."""
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=5)
    counted = {"client_key": "acme", "endpoint": "search", "outcome": "admitted"}
    Usage.objects.create(**counted, minute=minute, requests=1_500, cost=1_500)
    page.get_by_role("link", name="simulation").click()
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_text("waits for a worker")).to_be_visible()
    running.run(Simulation.objects.get().pk)
    denied = page.locator("#everything tbody tr").first
    expect(denied).to_contain_text("Denied, of 1,500 requests")
    expect(denied.locator("td")).to_have_text(["500", "0"])
    picture(page, "change-set-simulation")


def quota(answer: dict[str, object]) -> int:
    (limit,) = answer["limits"]  # type: ignore[misc]
    return int(limit["quota"])


def before_and_after(http: httpx.Client, server: WebServer, begins: datetime) -> tuple[list[int], list[int]]:
    """The quotas of all checks that were answered before this time, and of those that were asked after it, by the clock
    of the store. Nothing is published meanwhile."""
    before: set[int] = set()
    while store_time() < begins:
        found = quota(ask(http, server, "peek"))
        if store_time() < begins:
            before.add(found)
    return sorted(before), sorted({quota(ask(http, server, "peek")) for _ in range(20)})


def undo(page: Page, url: str, change: ChangeSet) -> None:
    """As a superuser, who needs no approval."""
    page.context.clear_cookies()
    log_in(page, User.objects.create_superuser("ada", "ada@example.com"))
    assert change.publication is not None
    page.goto(f"{url}{reverse('admin:limits_publication_change', args=[change.publication.pk])}")
    page.get_by_role("link", name="Undo this change…").click()
    page.get_by_role("button", name="Create the draft").click()
    page.get_by_role("link", name="Publish now…").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("is live on every server.")).to_be_visible()
