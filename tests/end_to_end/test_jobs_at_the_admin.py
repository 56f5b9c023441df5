"""Tasks of people in the admin, in a real browser. Saves pictures into the folder ``SCREENSHOTS``, if it is set."""

import re

import httpx
import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from limits.models import Alert, Client, Override, Usage
from limits.models.roles import OPERATORS, SUPPORT
from limits.publishing import clients
from tests.end_to_end.browser import log_in_as, picture, save
from tests.end_to_end.shop import policy, publish
from tests.models import rows
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_client_with_two_overrides_can_be_renamed(admin: Page) -> None:
    client = rows.client("acme", name="Acme")
    for slug in ("search", "orders"):
        rows.override_limit(rows.override(client, policy(slug, (100, 60))))
    publish()
    admin.goto(reverse("admin:limits_client_change", args=[client.pk]))
    admin.locator("[name=name]").fill("Acme Ltd")
    assert "Live on every server: acme." in save(admin)
    picture(admin, "client-renamed")
    assert Client.objects.get().name == "Acme Ltd"


def test_an_override_may_overlap_with_one_of_another_client(admin: Page) -> None:
    row = policy("all", (100, 3_600))
    publish()
    rows.override_limit(rows.override(rows.client("globex"), row))
    client = rows.client("acme")
    admin.goto(reverse("admin:limits_client_change", args=[client.pk]))
    add_override(admin, 0, row.pk)
    assert "Live on every server: acme." in save(admin)
    assert Override.objects.filter(client=client).exists()
    add_override(admin, 1, row.pk)
    save(admin)
    summary = admin.locator("#error-summary")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("Overlaps another override of this client and policy")
    picture(admin, "override-overlaps")
    summary.get_by_role("link", name="Override 2, starts at").click()
    expect(admin.locator("[name=overrides-1-starts_at_0]")).to_be_in_viewport()


def test_an_override_without_a_policy_is_reported_at_that_field(admin: Page) -> None:
    policy("all", (100, 3_600))
    publish()
    client = rows.client("acme")
    admin.goto(reverse("admin:limits_client_change", args=[client.pk]))
    admin.get_by_text("Add another Override").click()
    admin.locator("[name=overrides-0-limits-0-quota]").fill("500")
    admin.locator("[name=overrides-0-limits-0-window_0]").fill("1")
    save(admin)
    expect(admin.locator("#error-summary")).to_contain_text("Override 1, policy: This field is required.")
    assert not Override.objects.exists()


def test_a_conflict_with_a_concurrent_save_is_shown_at_the_top(admin: Page) -> None:
    row = policy("all", (100, 60))
    publish()
    admin.goto(reverse("admin:limits_policy_change", args=[row.pk]))
    admin.get_by_text("Add another Limit").click()
    admin.locator("[name=limits-1-quota]").fill("500")
    admin.locator("[name=limits-1-window_0]").fill("1")
    admin.locator("[name=limits-1-window_1]").select_option("hours")
    rows.limit(row, quota=9, window=3_600)
    save(admin)
    expect(admin.locator("#error-summary")).to_contain_text("This conflicts with saved data")
    assert admin.locator("[name=limits-1-quota]").input_value() == "500"


def add_override(admin: Page, at: int, policy_id: int) -> None:
    admin.get_by_text("Add another Override").click()
    admin.locator(f"[name=overrides-{at}-policy]").select_option(str(policy_id))
    admin.locator(f"[name=overrides-{at}-limits-0-quota]").fill("500")
    admin.locator(f"[name=overrides-{at}-limits-0-window_0]").fill("1")


def test_an_operator_acknowledges_an_alert(page: Page) -> None:
    policy("all", (100, 60))
    publish()
    rule = rows.alert_rule("search-abuse", group_by="client")
    alert = Alert.objects.create(rule=rule, group="ip:203.0.113.7", opened_at=timezone.now(), highest=60)
    log_in_as(page, OPERATORS, "grace")
    page.goto(reverse("admin:limits_alert_change", args=[alert.pk]))
    picture(page, "alert")
    page.get_by_role("link", name="Acknowledge or silence…").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("Acknowledged: no more notifications until the alert resolves.")).to_be_visible()
    picture(page, "alert-acknowledged")
    alert.refresh_from_db()
    assert alert.acknowledged_by == "grace"


def test_support_blocks_an_unknown_address(page: Page, servers: list[WebServer], http: httpx.Client) -> None:
    policy("all", (100, 60))
    publish()
    key = "ip:203.0.113.7"
    now = timezone.now().replace(second=0, microsecond=0)
    Usage.objects.create(client_key=key, endpoint="search", minute=now, outcome="denied", requests=60, cost=60)
    log_in_as(page, SUPPORT, "grace")
    page.goto("/admin/")
    picture(page, "home-with-an-unknown-caller")
    page.locator("#throttled-clients").get_by_role("link", name="Block…").click()
    assert page.get_by_label("Client key").input_value() == key
    page.get_by_label("Reason").fill("Tries API keys of other customers.")
    picture(page, "block-an-unknown-caller")
    page.get_by_role("button", name="Block").click()
    expect(page.get_by_text(f"Live on every server: {key}.")).to_be_visible()
    picture(page, "blocked")
    for server in servers:
        answer = http.post(f"{server.url}/v1/check", json={"client": key, "endpoint": "search"})
        assert answer.json()["reason"] == "blocked"


def test_support_blocks_a_network_from_an_alert(page: Page, servers: list[WebServer], http: httpx.Client) -> None:
    policy("all", (100, 60))
    publish()
    rule = rows.alert_rule("search-abuse", group_by="client")
    alert = Alert.objects.create(rule=rule, group="ip:203.0.113.7", opened_at=timezone.now(), highest=60)
    log_in_as(page, SUPPORT, "grace")
    page.goto(reverse("admin:limits_alert_change", args=[alert.pk]))
    picture(page, "alert-of-an-address")
    page.get_by_role("link", name="Block network…").click()
    expect(page.locator("#effect")).to_contain_text(
        "Denies all requests from 203.0.113.0/24 (256 addresses, 203.0.113.0 to 203.0.113.255)"
    )
    assert page.locator("[name=client_key]").is_hidden()
    picture(page, "block-a-network")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Version 3 is live on every server.")).to_be_visible()
    expect(page.locator("#result_list")).to_contain_text("Alert “search-abuse”: 60 requests denied.")
    picture(page, "blocks")

    def status(server: WebServer, **attributes: str) -> int:
        body = {"client": "anyone", "endpoint": "search", "attributes": attributes}
        return http.post(f"{server.url}/v1/check", json=body).status_code

    for server in servers:
        assert [status(server, ip=f"203.0.{part}.99") for part in (112, 113, 114)] == [200, 403, 200]
        assert status(server) == 200


def test_the_effect_of_a_block_follows_the_form(page: Page) -> None:
    policy("all", (100, 60))
    publish()
    rows.client("acme-web")
    log_in_as(page, SUPPORT, "grace")
    page.goto(f"{reverse('admin:limits_block_add')}?client_key=acme-mobile")
    effect = page.locator("#effect")
    expect(effect).to_contain_text("Denies all requests of the client acme-mobile (unregistered), until ")
    page.locator("[name=whom]").select_option("prefix")
    expect(effect).to_contain_text("of clients whose key begins with “acme-” (1 registered, and all unregistered ones)")
    page.locator("[name=whom]").select_option("network")
    page.locator("[name=network]").fill("203.0.113.7/24")
    expect(effect).to_contain_text("Has bits set after its prefix length: write 203.0.113.0/24.")
    picture(page, "block-with-a-wrong-network")


def test_a_forbidden_page_names_the_missing_permission(page: Page) -> None:
    policy("all", (100, 60))
    publish()
    log_in_as(page, SUPPORT, "grace")
    answer = page.request.get(reverse("admin:limits_plan_add"))
    assert answer.status == 403
    assert "Your account does not have permission to <strong>add plans</strong>." in answer.text()
    assert "Members of <strong>Product managers</strong> have this permission" in answer.text()


def test_five_thousand_clients_are_deleted_together(admin: Page, servers: list[WebServer], http: httpx.Client) -> None:
    policy("all", (100, 60))
    publish()
    Client.objects.bulk_create(Client(key=f"promo-{number}", status="blocked") for number in range(5_000))
    assert clients.deliver().live
    rows.client("acme")
    admin.goto(reverse("admin:limits_client_changelist") + "?q=promo")
    admin.locator("#action-toggle").check()
    admin.get_by_text("Select all 5000 clients").click()
    admin.locator("[name=action]").first.select_option("delete_selected")
    picture(admin, "clients-selected")
    admin.get_by_role("button", name=re.compile("Run|Go")).first.click()
    expect(admin.get_by_role("heading", name="Delete 5,000 clients")).to_be_visible()
    admin.get_by_label("Reason").fill("The campaign is over.")
    picture(admin, "delete-5000-clients")
    assert admin.locator("#deletion input").count() < 10
    admin.get_by_role("button", name="Delete", exact=True).click()
    expect(admin.get_by_text("5,000 clients deleted.")).to_be_visible(timeout=120_000)
    picture(admin, "5000-clients-deleted")
    assert list(Client.objects.values_list("key", flat=True)) == ["acme"]
    assert Client.history.filter(history_type="-", history_change_reason="The campaign is over.").count() == 5_000
    for server in servers:
        answer = http.post(f"{server.url}/v1/check", json={"client": "promo-4999", "endpoint": "search"})
        assert answer.json()["allowed"]
