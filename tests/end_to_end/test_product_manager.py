"""Tasks of a product manager, with a real browser and two real servers: viewing, changing, publishing, rolling back."""

import re
from datetime import datetime, timedelta

import httpx
import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from limits.models import Client, Endpoint, Override, Plan, Policy, PolicyLimit, Publication
from limits.models.roles import PRODUCT_MANAGERS, VIEWERS
from limits.publishing import clients
from ratelimit_enforcer.domain.dates import date_and_time
from tests.end_to_end.browser import log_in_as, picture, publish
from tests.end_to_end.shop import ask
from tests.end_to_end.shop import publish as publish_rows
from tests.models import rows
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def search(servers: list[WebServer]) -> Policy:
    """A policy of ten searches per hour for the free plan, on which the client acme is."""
    free = Plan.objects.get(slug="free")
    policy = rows.policy("free-search", plan=free, endpoint=Endpoint.objects.get())
    policy.limits.update(quota=10, window=3_600)
    rows.client("acme", plan=free)
    publish_rows()
    clients.deliver()
    return policy


@pytest.fixture
def pam(page: Page, search: Policy) -> Page:
    """A product manager in the admin."""
    log_in_as(page, PRODUCT_MANAGERS, "pam")
    return page


def test_a_quota_is_changed_from_the_comparison_reviewed_published_and_enforced(
    pam: Page, servers: list[WebServer], http: httpx.Client
) -> None:
    before = ask(http, servers[1])["limit"]
    pam.get_by_role("link", name="Compare plans").click()
    pam.locator("#comparison").get_by_role("link", name="10 per hour").click()
    meaning = pam.locator(".rl-meaning").first
    expect(meaning).to_contain_text("10 per hour. Never more than 10 in any period of one hour.")
    pam.locator("[name=limits-0-quota]").fill("25")
    expect(meaning).to_contain_text("25 per hour. Never more than 25 in any period of one hour.")
    pam.locator("[name=limits-0-quota]").fill("-5")
    expect(meaning).to_contain_text("greater than or equal to 0")
    pam.locator("[name=limits-0-quota]").fill("25")
    pam.get_by_role("button", name="Save", exact=True).click()
    expect(pam.locator("#review")).to_contain_text("10 per hour")
    expect(pam.locator("#impact")).to_contain_text("Affects 1 registered client and all unregistered clients.")
    assert ask(http, servers[1])["limit"] == before == 10
    publish(pam, "Black Friday.")
    expect(pam.get_by_text("Version 3 is live on every server.")).to_be_visible()
    assert [ask(http, server)["limit"] for server in servers] == [25, 25]
    expect(pam.locator("#comparison").get_by_role("link", name="25 per hour")).to_be_visible()
    pam.goto("/admin/")
    expect(pam.locator("#publishing")).to_contain_text("Version 3 has been live on every server since")
    expect(pam.locator("#publishing")).to_contain_text("Published by pam: Black Friday.")


def test_a_review_can_be_edited_again_and_cancelled(pam: Page, search: Policy) -> None:
    change = reverse("admin:limits_policy_change", args=[search.pk])
    pam.goto(change)
    pam.locator("[name=limits-0-quota]").fill("25")
    pam.get_by_role("button", name="Save", exact=True).click()
    pam.get_by_role("button", name="Keep editing").click()
    expect(pam.locator("[name=limits-0-quota]")).to_have_value("25")
    pam.get_by_role("button", name="Save", exact=True).click()
    pam.get_by_role("button", name="Publish version").click()
    expect(pam.get_by_text("This field is required.").or_(pam.locator("#id_why:invalid"))).to_be_visible()
    pam.get_by_role("link", name="Discard changes").click()
    expect(pam.locator("[name=limits-0-quota]")).to_have_value("10")
    assert Publication.objects.count() == 2


def test_the_algorithm_determines_the_visible_fields(pam: Page, search: Policy) -> None:
    pam.goto(reverse("admin:limits_policy_change", args=[search.pk]))
    algorithm, burst = pam.locator("[name=limits-0-algorithm]"), pam.locator("[name=limits-0-burst]")
    window, period = pam.locator("[name=limits-0-window_0]"), pam.locator("[name=limits-0-period]")
    expect(burst).to_be_hidden()
    expect(period).to_be_hidden()
    algorithm.select_option("token_bucket")
    expect(burst).to_be_visible()
    burst.fill("20")
    expect(pam.locator(".rl-meaning").first).to_contain_text("After a pause, up to 20 at once")
    algorithm.select_option("calendar")
    expect(burst).to_be_hidden()
    expect(window).to_be_hidden()
    period.select_option("month")
    zone = pam.locator("[name=limits-0-timezone]")
    zone.focus()
    expect(pam.locator("#time-zones option[value='Europe/Berlin']")).to_have_count(1)
    zone.fill("Europe/Berlin")
    pam.get_by_role("button", name="Save", exact=True).click()
    publish(pam)
    assert str(search.limits.get()) == "10 per month in Europe/Berlin"


def test_the_window_of_a_concurrency_limit_is_a_longest_duration(pam: Page, search: Policy) -> None:
    pam.goto(reverse("admin:limits_policy_change", args=[search.pk]))
    line = pam.locator(".field-line", has=pam.locator("[name=limits-0-window_0]"))
    expect(line.locator("label")).to_contain_text("Window")
    pam.locator("[name=limits-0-algorithm]").select_option("concurrency")
    expect(line.locator("label")).to_have_text("Longest duration*")
    expect(pam.get_by_label("Longest duration: number")).to_have_value("1")
    expect(pam.get_by_label("Longest duration: unit")).to_have_value("3600")
    for field in ("burst", "period", "timezone"):
        expect(pam.locator(f"[name=limits-0-{field}]")).to_be_hidden()
    expect(pam.locator(".rl-meaning").first).to_contain_text(
        "At most 10 concurrent requests, each for at most one hour."
    )
    pam.get_by_role("button", name="Save", exact=True).click()
    publish(pam)
    assert str(search.limits.get()) == "at most 10 concurrent requests, each for at most one hour"


def test_partition_and_conditions_are_described_while_they_are_typed(
    pam: Page, search: Policy, servers: list[WebServer], http: httpx.Client
) -> None:
    assert ask(http, servers[0])["limit"] == 10
    pam.goto(reverse("admin:limits_policy_change", args=[search.pk]))
    meaning, match = pam.locator(".rl-conditions [aria-live=polite]"), pam.locator("[name=match]")
    expect(meaning).to_have_text("No conditions; each client is counted separately.")
    pam.locator("[name=partition]").select_option("global")
    expect(meaning).to_have_text("No conditions; all clients are counted together.")
    pam.locator("[name=attributes]").press_sequentially("model")
    expect(meaning).to_contain_text("all clients are counted together for each model. Example: acme and globex with")
    match.press_sequentially("model gpt-*")
    expect(meaning).to_have_text("The line “model gpt-*” has no colon: write “model: gpt-*, o1”.")
    picture(pam, "conditions-with-an-error")
    pam.get_by_role("button", name="Save", exact=True).click()
    expect(pam.locator("#error-summary")).to_contain_text("Only if: The line “model gpt-*” has no colon")
    expect(match).to_have_value("model gpt-*")
    expect(meaning).to_have_text("The line “model gpt-*” has no colon: write “model: gpt-*, o1”.")
    match.fill("model: gpt-*\nclient_tags: wholesale")
    expect(meaning).to_have_text(
        "Applies only to checks whose model is “gpt-*” and whose client has the tag wholesale; all clients are counted "
        "together for each model. Example: acme with model “gpt-x” and the tag wholesale is counted; acme without the "
        "attribute model is not."
    )
    picture(pam, "conditions")
    pam.get_by_role("button", name="Save", exact=True).click()
    publish(pam)
    search.refresh_from_db()
    assert search.match == {"model": ["gpt-*"], "client_tags": ["wholesale"]}
    # As in the example: acme has no such tag, and the check has no model.
    assert ask(http, servers[0])["limits"] == []


def test_a_rollback_to_a_version_is_a_new_version(
    pam: Page, search: Policy, servers: list[WebServer], http: httpx.Client
) -> None:
    search.limits.update(quota=99)
    publish_rows()
    assert ask(http, servers[0])["limit"] == 99
    pam.get_by_role("link", name="Publications").click()
    pam.locator("#result_list").get_by_role("link", name="2", exact=True).click()
    pam.get_by_role("link", name="Roll back to this version…").click()
    expect(pam.locator("#review")).to_contain_text("99 per hour")
    assert ask(http, servers[0])["limit"] == 99
    publish(pam, "Too much.")
    expect(pam.get_by_text("Version 4 is live on every server.")).to_be_visible()
    assert [ask(http, server)["limit"] for server in servers] == [10, 10]


def test_limits_of_a_tag_are_raised_from_friday_to_sunday(
    pam: Page, servers: list[WebServer], http: httpx.Client
) -> None:
    for key in ("globex", "initech"):
        rows.client(key)
    clients.deliver()
    friday, sunday = weekend()
    tag_clients(pam, "acme", "globex")
    pam.get_by_text("Filters").click()
    pam.locator("#tag-filter").fill("wholesale")
    picture(pam, "clients-filter")
    pam.get_by_role("button", name="Filter", exact=True).click()
    expect(pam.locator("#result_list tbody tr")).to_have_count(2)
    picture(pam, "clients-filtered")
    pam.get_by_role("link", name="Raise limits for clients with the tag wholesale…").click()
    expect(pam.locator("[name=tags]")).to_have_value("wholesale")
    expect(pam.locator("[name=prefix]")).to_be_hidden()
    pam.locator("[name=policy]").select_option(label="free-search")
    pam.locator("[name=starts_at_0]").fill(f"{friday:%Y-%m-%d}")
    pam.locator("[name=ends_at_0]").fill(f"{sunday:%Y-%m-%d}")
    pam.locator("[name=ends_at_1]").fill("23:30")
    pam.locator("[name=limits-0-quota]").fill("25")
    pam.locator("[name=limits-0-window_0]").fill("1")
    pam.locator("[name=limits-0-window_1]").select_option(label="hours")
    picture(pam, "segment-override")
    pam.get_by_role("button", name="Save", exact=True).click()
    expect(pam.locator("#review")).to_contain_text("25 per hour")
    expect(pam.locator("#impact")).to_contain_text("Affects 2 registered clients.")
    picture(pam, "segment-override-review")
    publish(pam, "Black Friday.")
    expect(pam.get_by_text("Version 3 is live on every server.")).to_be_visible()
    picture(pam, "segment-overrides")
    for server in servers:
        assert [ask(http, server, "peek", key)["limit"] for key in ("acme", "globex", "initech")] == [25, 25, 10]
    pam.goto(reverse("admin:limits_client_change", args=[Client.objects.get(key="acme").pk]))
    source = f"override for clients with the tag wholesale until {date_and_time(sunday)}"
    expect(pam.locator("#current-limits")).to_contain_text(source)
    picture(pam, "client-with-a-tag")


def weekend() -> tuple[datetime, datetime]:
    """The last Friday, and 23:30 on the Sunday after today: times between which now is."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    friday = midnight - timedelta(days=(midnight.weekday() - 4) % 7)
    return friday, midnight + timedelta(days=7 - (midnight.weekday() + 1) % 7, hours=23, minutes=30)


def tag_clients(page: Page, *keys: str) -> None:
    """Adds the tag “wholesale” to the clients with these keys, which are in the list."""
    page.goto(reverse("admin:limits_client_changelist"))
    for key in keys:
        page.locator("#result_list tr", has_text=key).locator("[name=_selected_action]").check()
    page.locator("[name=action]").first.select_option(label="Add tags to selected clients…")
    page.get_by_role("button", name=re.compile("Run|Go")).first.click()
    page.get_by_label("Tags").fill("Wholesale")
    page.get_by_label("Reason").fill("They buy by the pallet.")
    picture(page, "add-tags")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text(f"{len(keys)} clients now tagged wholesale.")).to_be_visible()


def test_limits_are_raised_by_half_until_sunday_in_two_clicks(
    pam: Page, servers: list[WebServer], http: httpx.Client
) -> None:
    for _ in range(3):
        ask(http, servers[0])
    pam.clock.install()
    pam.goto(reverse("admin:limits_client_change", args=[Client.objects.get().pk]))
    expect(pam.locator("#current-limits")).to_contain_text("3 of 10")
    ask(http, servers[0])
    pam.clock.fast_forward(5_000)
    expect(pam.locator("#current-limits")).to_contain_text("4 of 10", timeout=20_000)
    pam.get_by_role("link", name="+50 % until Sunday").click()
    pam.get_by_label("Reason").fill("They asked nicely.")
    pam.get_by_role("button", name="Apply").click()
    expect(pam.get_by_text("Live on every server: acme.")).to_be_visible()
    expect(pam.locator("#current-limits")).to_contain_text("4 of 15")
    expect(pam.locator("#current-limits")).to_contain_text("override until ")
    assert [ask(http, server)["limit"] for server in servers] == [15, 15]
    assert Override.objects.get().ends_at is not None


def test_a_client_is_blocked_with_a_reason_in_its_history(
    pam: Page, servers: list[WebServer], http: httpx.Client
) -> None:
    pam.goto(reverse("admin:limits_client_change", args=[Client.objects.get().pk]))
    pam.get_by_role("link", name="Block…").click()
    pam.get_by_label("Reason").fill("It scrapes.")
    pam.get_by_role("button", name="Block").click()
    expect(pam.get_by_text("All requests are denied, regardless of limits.")).to_be_visible()
    assert [ask(http, server)["reason"] for server in servers] == ["blocked", "blocked"]
    pam.goto(reverse("admin:limits_client_history", args=[Client.objects.get().pk]))
    expect(pam.locator("#history")).to_contain_text("It scrapes.")


def test_why_a_request_was_denied(pam: Page, servers: list[WebServer], http: httpx.Client) -> None:
    for _ in range(11):
        ask(http, servers[0])
    pam.get_by_role("link", name="Why was this denied?").click()
    pam.get_by_label("Client").fill("acme")
    pam.get_by_label("Endpoint, or method and path").fill("search")
    pam.get_by_role("button", name="Explain").click()
    expect(pam.locator("#answer")).to_contain_text("A request now would be denied.")
    expect(pam.locator("#applying")).to_contain_text("10 of 10")


def test_why_a_request_with_attributes_was_denied(
    pam: Page, search: Policy, servers: list[WebServer], http: httpx.Client
) -> None:
    Policy.objects.filter(pk=search.pk).update(attributes=["model"])
    other = Policy.objects.create(slug="large-models", match={"model": ["o1-*"]})
    PolicyLimit.objects.create(policy=other, quota=5, window=60)
    publish_rows()
    asked = {"client": "acme", "endpoint": "search", "attributes": {"model": "gpt-x"}}
    assert [http.post(f"{servers[0].url}/v1/check", json=asked).status_code for _ in range(11)] == [200] * 10 + [429]
    pam.get_by_role("link", name="Why was this denied?").click()
    pam.get_by_label("Client").fill("acme")
    pam.get_by_label("Endpoint, or method and path").fill("search")
    pam.get_by_label("Attributes").fill("model=gpt-x")
    pam.get_by_role("button", name="Explain").click()
    expect(pam.locator("#answer")).to_contain_text("A request now would be denied.")
    expect(pam.locator("#applying")).to_contain_text("10 of 10")
    pam.locator("details summary", has_text="not apply").click()
    expect(pam.get_by_text("It applies only if model is “o1-*”.")).to_be_visible()
    pam.get_by_label("Attributes").fill("model=gpt-y")
    pam.get_by_role("button", name="Explain").click()
    expect(pam.locator("#answer")).to_contain_text("A request now would be admitted.")
    expect(pam.locator("#applying")).to_contain_text("0 of 10")


def test_a_file_with_an_invalid_line_is_rejected_and_a_valid_one_imported(pam: Page) -> None:
    def choose(content: str) -> None:
        pam.get_by_role("link", name="Import…").click()
        file = {"name": "clients.csv", "mimeType": "text/csv", "buffer": content.encode()}
        pam.locator("[name=file]").set_input_files(file)  # type: ignore[arg-type]
        pam.get_by_label("Reason").fill("The contract list.")
        pam.get_by_role("button", name="Check file").click()

    pam.goto(reverse("admin:limits_client_changelist"))
    choose("key,plan\nglobex,pro\ninitech,gold\n")
    expect(pam.locator("#problems")).to_contain_text("there is no plan “gold”")
    pam.goto(reverse("admin:limits_client_changelist"))
    choose("key,plan\nglobex,pro\n")
    pam.get_by_role("button", name="Import 1 client").click()
    expect(pam.get_by_text("Imported.")).to_be_visible()
    assert list(Client.objects.order_by("key").values_list("key", "plan__slug")) == [
        ("acme", "free"),
        ("globex", "pro"),
    ]


def test_a_viewer_can_see_everything_and_change_nothing(page: Page, search: Policy) -> None:
    log_in_as(page, VIEWERS, "pam")
    page.goto(reverse("admin:limits_plan_compare"))
    expect(page.locator("#comparison")).to_contain_text("10 per hour")
    expect(page.get_by_role("link", name="10 per hour")).to_have_count(0)
    page.goto(reverse("admin:limits_client_change", args=[Client.objects.get().pk]))
    expect(page.locator("#current-limits")).to_contain_text("0 of 10")
    expect(page.get_by_role("link", name="Block…")).to_have_count(0)
    for address in (
        "admin:limits_policy_changelist",
        "admin:limits_client_changelist",
        "admin:limits_usage_changelist",
    ):
        page.goto(reverse(address))
        expect(page.get_by_role("button", name="Save")).to_have_count(0)
