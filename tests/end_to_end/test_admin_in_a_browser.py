"""From a click on Save to the next check, with a real browser and two real servers."""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from limits.changes.lifecycle import Actor, start, submit
from limits.configfile.client_files import continue_import
from limits.domain.edits import Edit
from limits.models import (
    Alert,
    AlertRule,
    ChangeSet,
    Client,
    ClientImport,
    Endpoint,
    Grant,
    NotificationChannel,
    Override,
    Plan,
    Policy,
    PolicyDenial,
    Publication,
    QuotaPeak,
    QuotaReading,
    QuotaThreshold,
    Settlement,
    SettlementDay,
    SettlementHour,
    Usage,
    UsageDay,
    UsageHour,
)
from limits.monitoring.alerts import evaluate
from limits.simulation import running
from tests.end_to_end.browser import SCHEMES, Scheme, save, serious_findings, switch_to
from tests.end_to_end.browser import publish as publish_page
from tests.end_to_end.shop import ask, policy, publish
from tests.models import rows
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_changed_quota_applies_to_the_next_check_on_both_servers(
    admin: Page, servers: list[WebServer], http: httpx.Client
) -> None:
    row = policy("all", (100, 3_600))
    publish()
    before = [ask(http, server)["limit"] for server in servers]
    for quota in (7, 50, 3):
        admin.goto(reverse("admin:limits_policy_change", args=[row.pk]))
        admin.locator("[name=limits-0-quota]").fill(str(quota))
        said = save(admin)
        answers = [ask(http, server) for server in servers]
        (version,) = {answer["ruleset"] for answer in answers}
        assert {answer["limit"] for answer in answers} == {quota}
        assert f"Version {version} is live on every server." in said
    assert before == [100, 100]


def test_an_override_with_its_limit_is_added_on_the_clients_page(
    admin: Page, servers: list[WebServer], http: httpx.Client
) -> None:
    row = policy("all", (100, 3_600))
    publish()
    client = Client.objects.create(key="acme")
    admin.goto(reverse("admin:limits_client_change", args=[client.pk]))
    admin.get_by_text("Add another Override").click()
    admin.locator("[name=overrides-0-policy]").select_option(str(row.pk))
    admin.locator("[name=overrides-0-reason]").fill("Christmas sale")
    admin.locator("[name=overrides-0-limits-0-quota]").fill("500")
    admin.locator("[name=overrides-0-limits-0-window_0]").fill("1")
    assert "Live on every server: acme." in save(admin)
    assert Override.objects.get().created_by == User.objects.get()
    for server in servers:
        assert [limit["quota"] for limit in ask(http, server)["limits"]] == [500]


def test_a_token_created_in_the_admin_is_valid_immediately_until_revoked(admin: Page, servers: list[WebServer]) -> None:
    admin.goto(reverse("admin:limits_apitoken_add"))
    admin.get_by_label("Name").fill("checkout")
    admin.get_by_label("check: request decisions").check()
    admin.get_by_role("button", name="Save", exact=True).click()
    secret = admin.locator("#token-secret").inner_text()
    with httpx.Client(headers={"Authorization": f"Bearer {secret}"}) as http:
        assert [ask(http, server)["status"] for server in servers] == [200, 200]
        admin.goto(reverse("admin:limits_apitoken_changelist"))
        admin.locator("tr", has_text="checkout").locator("[name=_selected_action]").check()
        admin.locator("[name=action]").first.select_option("revoke")
        admin.get_by_role("button", name=re.compile("Run|Go")).first.click()
        publish_page(admin)
        expect(admin.get_by_text("is live on every server.")).to_be_visible()
        assert [ask(http, server)["status"] for server in servers] == [401, 401]


def test_invalid_input_is_reported_at_its_field_and_kept(admin: Page, servers: list[WebServer]) -> None:
    row = policy("all", (100, 3_600))
    admin.goto(reverse("admin:limits_policy_change", args=[row.pk]))
    admin.locator("[name=name]").fill("A new name")
    admin.locator("[name=limits-0-quota]").fill("1000000001")
    said = save(admin)
    assert "Must be between 0 and 1,000,000,000." in said
    assert admin.locator("[name=name]").input_value() == "A new name"
    assert admin.locator("[name=limits-0-quota]").input_value() == "1000000001"
    assert Policy.objects.get().name == ""


@pytest.fixture
def full(servers: list[WebServer]) -> None:
    """A platform with a row of every model."""
    rows.route(Endpoint.objects.get(), "GET /search")
    row = policy("search", (100, 3_600), plan="pro")
    rows.limit(row, quota=100, window=1, algorithm="token_bucket", burst=20)
    rows.override_limit(
        rows.override(
            rows.client("globex", name="Globex", plan=Plan.objects.get(slug="pro"), tags=["eu", "wholesale"]), row
        )
    )
    rows.segment_override(row, tags=["wholesale"])
    rows.limit(row, quota=1_000, window=None, algorithm="calendar", period="month")
    rows.grant(Client.objects.get(), row, 10_000, author="ada", reason="Order 2026-118")
    publish()
    edits = [Edit(("policies", "search", "limits", "3600s", "quota"), 100, 20)]
    change = start("Black Friday", Actor("somebody"), edits, "Twice the search limits.")
    submit(change)
    start("Older", Actor("somebody"), [Edit(("plans", "pro", "name"), "Basic", "Professional")])
    NotificationChannel.objects.create(slug="ops", url="https://hooks.slack.com/services/T1/B1/hush")
    rows.alert_rule("search-abuse", group_by="client")
    now = timezone.now().replace(second=0, microsecond=0)
    counted = {"minute": now, "client_key": "globex", "endpoint": "search", "requests": 60}
    Usage.objects.create(**counted, outcome="denied", cost=60)
    for mode in ("enforce", "shadow"):
        PolicyDenial.objects.create(**counted, policy="search", mode=mode)
    QuotaThreshold.objects.create(**counted, policy="search", mark=80)
    used = {"client_key": "globex", "limit": "search:3600s", "used": 85, "capacity": 100, "percent": 85}
    read = {"policy": "search", "endpoint": "search", "read_at": now, "unused_at": now}
    QuotaReading.objects.create(**used, **read, peak_percent=97, peak_at=now)
    QuotaPeak.objects.create(**used, month=now.date().replace(day=1), at=now)
    for model, time in ((UsageHour, "hour"), (UsageDay, "day")):
        at = {time: now.replace(minute=0)}
        model.objects.create(**at, client_key="", endpoint="", outcome="denied", requests=60, cost=60)
    figures = {"reserved": 500, "settlements": 2, "settled": 450, "refunded": 100, "debited": 50, "overdrawn": 20}
    Settlement.objects.create(minute=now, client_key="acme", endpoint="search", **figures)
    for settlements, time in ((SettlementHour, "hour"), (SettlementDay, "day")):
        settlements.objects.create(**{time: now.replace(minute=0)}, client_key="", endpoint="", **figures)
    assert evaluate() == 1


MODELS = ["plan", "changeset", "endpoint", "policy", "client", "override", "segmentoverride", "apitoken", "alertrule"]
MODELS += ["grant"]
MODELS += ["notificationchannel"]
READ_ONLY = [
    "publication",
    "usage",
    "usagehour",
    "usageday",
    "policydenial",
    "quotathreshold",
    "quotareading",
    "alert",
    "message",
]
READ_ONLY += ["settlement", "settlementhour", "settlementday"]
LISTS = ["clientimport", "counterreset"]


def _lists() -> list[str]:
    """The URLs of the lists of all models, and of the home page."""
    models = [*MODELS, *READ_ONLY, *LISTS]
    return ["/admin/", *(reverse(f"admin:limits_{model}_changelist") for model in [*models, "platform"])]


def _rows() -> list[str]:
    """The URLs of the pages of single rows, and of the pages that ask for confirmation."""
    return [
        *map(_row, [*MODELS, *READ_ONLY]),
        reverse("admin:limits_policy_delete", args=[Policy.objects.get().pk]),
        reverse("admin:limits_alert_handle", args=[Alert.objects.get().pk]),
        reverse("admin:limits_alertrule_send_test", args=[AlertRule.objects.get().pk]),
        reverse("admin:limits_notificationchannel_send_test", args=[NotificationChannel.objects.get().pk]),
    ]


def _forms() -> list[str]:
    return [reverse(f"admin:limits_{model}_add") for model in MODELS]


def _own_pages() -> list[str]:
    """The URLs of pages that are neither a list nor a form of a row."""
    client, policy, plan = Client.objects.get(), Policy.objects.get(), Plan.objects.get(slug="pro")
    upload = ClientImport.objects.create(file_name="a.csv", content="key\nb\n", reason="x", author="ada")
    continue_import(upload.pk, 60)
    change = ChangeSet.objects.get(name="Black Friday")
    now = timezone.now()
    simulation = running.start(change, now - timedelta(hours=1), now + timedelta(minutes=1), "ada")
    running.run(simulation.pk)
    return [
        reverse("admin:limits_plan_compare"),
        reverse("admin:limits_plan_copy", args=[plan.pk]),
        reverse("admin:limits_client_explain") + "?client=globex&request=GET%20/search",
        reverse("admin:limits_client_more", args=[client.pk]),
        reverse("admin:limits_client_status", args=[client.pk, "blocked"]),
        reverse("admin:limits_client_reset_counters", args=[client.pk]),
        reverse("admin:limits_grant_end", args=[Grant.objects.get().pk]),
        reverse("admin:limits_client_import_clients"),
        reverse("admin:limits_clientimport_change", args=[upload.pk]),
        reverse("admin:limits_endpoint_try_a_route") + "?request=GET%20/search",
        reverse("admin:limits_policy_history", args=[policy.pk]),
        *(
            reverse(f"admin:limits_changeset_{step}", args=[change.pk])
            for step in ("publish", "schedule", "share", "discard")
        ),
        reverse("admin:limits_changeset_simulation", args=[change.pk]),
        reverse("admin:limits_publication_undo", args=[Publication.objects.latest("sequence").pk]),
        reverse("admin:limits_policy_shadow_report", args=[policy.pk]),
        reverse("admin:limits_usage_report"),
        reverse("admin:limits_publication_roll_back", args=[Publication.objects.earliest("sequence").pk]),
    ]


@pytest.mark.parametrize("pages", [_lists, _rows, _forms, _own_pages])
def test_every_page_opens_without_an_error(admin: Page, full: None, pages: Callable[[], list[str]]) -> None:
    """Nor a serious finding of axe, in light and dark mode. Saves pictures into the folder ``SCREENSHOTS``, if set."""
    findings = {}
    schemes = SCHEMES
    for address in pages():
        _open(admin, address)
        for scheme in schemes:
            switch_to(admin, scheme)
            _picture(admin, scheme, address)
            findings[address, scheme] = serious_findings(admin, scheme)
        # The next page is opened in the last scheme of this one.
        schemes = schemes[::-1]
    assert {place: found for place, found in findings.items() if found} == {}
    assert Publication.objects.count() == 2


def test_the_documentation_of_the_api_opens_without_an_error(admin: Page) -> None:
    for scheme in SCHEMES:
        admin.emulate_media(color_scheme=scheme)
        _open(admin, "/api/docs/")
        _picture(admin, scheme, "/api/docs/")


def _open(page: Page, address: str) -> None:
    answer = page.goto(address)
    assert answer
    assert answer.status == 200, address
    if "/admin/" in address:
        expect(page.get_by_role("main")).to_have_count(1)


def test_the_login_has_no_serious_finding(page: Page) -> None:
    for scheme in SCHEMES:
        # The login page reads the scheme only when it is opened.
        page.emulate_media(color_scheme=scheme)
        page.goto("/admin/login/")
        expect(page.get_by_role("main")).to_have_count(1)
        assert serious_findings(page, scheme) == []


def test_injected_scripts_and_styles_have_no_effect(browser: Browser, admin: Page) -> None:
    """The content security policy works: injected scripts and styles have no effect."""
    admin.goto("/admin/")
    context = browser.new_context(storage_state=admin.context.storage_state())
    page = context.new_page()
    answer = page.goto(admin.url)
    assert answer
    policy_sent = _directives(answer.headers["content-security-policy"])
    assert policy_sent["script-src"] == {"'self'", "'unsafe-eval'"}
    assert [name for name, sources in policy_sent.items() if "'unsafe-inline'" in sources] == ["style-src-attr"]
    page.evaluate(
        """() => {
            document.body.innerHTML += '<img src=x onerror="window.hacked = 1">';
            for (const [tag, text] of [["script", "window.hacked = 1"], ["style", "body { display: none }"]]) {
                const element = document.createElement(tag);
                element.textContent = text;
                document.body.append(element);
            }
        }"""
    )
    page.wait_for_load_state("networkidle")
    assert page.evaluate("() => [window.hacked ?? null, getComputedStyle(document.body).display]") == [None, "block"]
    context.close()


def _directives(policy: str) -> dict[str, set[str]]:
    """Directives and sources of a content security policy, whose order differs between processes."""
    named = (directive.split() for directive in policy.split(";") if directive.strip())
    return {name: set(sources) for name, *sources in named}


def _row(model: str) -> str:
    pk = apps.get_model("limits", model)._default_manager.values_list("pk", flat=True)[0]
    return reverse(f"admin:limits_{model}_change", args=[pk])


def _picture(page: Page, scheme: Scheme, address: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        name = address.strip("/").replace("/", "-") or "index"
        page.screenshot(path=Path(folder) / f"{scheme}-{name}.png", full_page=True)
