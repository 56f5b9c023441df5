"""The page of a client: its limits with their source and usage, and the actions, each with a reason."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from limits.admin.client_page import LimitUsage
from limits.admin.quick_overrides import end_of, scaled
from limits.models import Client, Override, Policy, Usage
from limits.publishing import clients, rules
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.engine import CheckRequest, ClientState, get_engine
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform
from tests.support.locks import overtaken_by

pytestmark = pytest.mark.django_db(transaction=True)


def address(name: str, *more: str) -> str:
    return reverse(f"admin:limits_client_{name}", args=[Client.objects.get(key="acme").pk, *more])


def usages(desk: Desk) -> dict[str, LimitUsage]:
    current = desk.open(address("current_limits")).response.context["current_limits"]
    return {usage.name: usage for usage in current.limits}


def live() -> None:
    rules.record("test")
    assert rules.deliver().live
    assert clients.deliver().live


def test_bars_show_present_usage_and_the_source_of_each_limit(desk: Desk, shop: Platform) -> None:
    pro = rows.plan("pro")
    search = rows.policy("pro-search", quota=50, plan=pro, endpoint=rows.endpoint("search"))
    rows.policy("ocean", quota=9_000, partition="global")
    Client.objects.update(plan=pro)
    rows.override_limit(
        rows.override(Client.objects.get(), search, ends_at=datetime(2099, 12, 24, tzinfo=UTC)), quota=500
    )
    live()
    for _ in range(3):
        get_engine().check(CheckRequest("acme", "search"))
    shown = usages(desk)
    assert {name: (bar.endpoint, bar.sentence, bar.source, bar.used, bar.capacity) for name, bar in shown.items()} == {
        "all:60s": ("All requests", "100 per minute", "all plans", 3, 100),
        "pro-search:60s": ("Search", "500 per minute", "override until 24 Dec 2099, 00:00 UTC", 3, 500),
    }
    assert "some in" in shown["all:60s"].available_again
    text = desk.open(address("change")).text
    assert "Shared with all clients: 9,000 per minute on all requests (ocean)" in text
    assert "3 of 500" in text


def test_bars_show_places_and_quotas_that_are_overdrawn(desk: Desk, shop: Platform) -> None:
    rows.limit(Policy.objects.get(), quota=2, window=600, algorithm="concurrency")
    live()
    taken = [get_engine().check(CheckRequest("acme", "search")) for _ in range(2)]
    places = usages(desk)["all:concurrent"]
    assert (places.sentence, places.used, places.capacity, places.is_full) == (
        "at most 2 concurrent requests, each for at most 10 minutes",
        2,
        2,
        True,
    )
    assert places.available_again == "as requests end, all within about 10 minutes"
    get_engine().release(taken[0].reservation or "")
    get_engine().charge(CheckRequest("acme", "search"), 250)
    shown = usages(desk)
    assert {name: (bar.used, bar.capacity, bar.is_full) for name, bar in shown.items()} == {
        "all:60s": (100, 100, True),
        "all:concurrent": (1, 2, False),
    }
    assert shown["all:60s"].available_again.startswith("some in ")


@pytest.mark.parametrize(
    ("segment", "source"),
    [
        (
            {"tags": ["wholesale"], "ends_at": datetime(2126, 11, 30, tzinfo=UTC)},
            "override for clients with the tag wholesale until 30 Nov 2126, 00:00 UTC",
        ),
        ({"tags": ["eu", "wholesale"]}, "override for clients with the tags eu and wholesale with no end"),
        ({"prefix": "ac"}, "override for clients whose key begins with “ac” with no end"),
        ({"tags": ["wholesale"], "starts_at": datetime(2126, 11, 27, tzinfo=UTC)}, "all plans"),
        ({"tags": ["retail"]}, "all plans"),
    ],
)
def test_an_override_of_a_segment_is_the_source_of_a_limit(
    desk: Desk, shop: Platform, segment: dict[str, Any], source: str
) -> None:
    Client.objects.update(tags=["eu", "wholesale"])
    rows.segment_override(Policy.objects.get(), quota=100, **segment)
    live()
    assert usages(desk)["all:60s"].source == source


def test_the_clients_own_override_is_named_rather_than_that_of_its_segment(desk: Desk, shop: Platform) -> None:
    rows.segment_override(Policy.objects.get(), prefix="ac")
    rows.override_limit(rows.override(Client.objects.get(), Policy.objects.get()))
    live()
    assert usages(desk)["all:60s"].source == "override with no end"


@pytest.mark.parametrize(("plan", "source"), [(None, "default plan (Free)"), ("free", "plan Free")])
def test_a_client_without_a_plan_has_the_default_plans_limits(
    desk: Desk, shop: Platform, plan: str | None, source: str
) -> None:
    free = Policy.objects.get()
    rows.policy("free", plan=rows.plan("other"))
    rows.policy("of-free", plan=type(free)._meta.get_field("plan").related_model.objects.get(slug="free"))
    if plan:
        Client.objects.update(plan=Policy.objects.get(slug="of-free").plan)
    live()
    assert usages(desk)["of-free:60s"].source == source


def test_without_the_store_the_page_reports_the_outage(desk: Desk, shop: Platform) -> None:
    shop.make_store_unavailable()
    page = desk.open(address("change"))
    assert page.status == 200
    assert "Redis is unavailable" in page.text
    assert "each policy applies the setting “if Redis is down”" in page.text
    assert "plan: none" not in page.text
    assert "the store" not in page.text.lower()


@pytest.mark.parametrize(
    ("status", "text"), [("blocked", "All requests are denied"), ("exempt", "these limits do not apply")]
)
def test_a_status_is_changed_with_a_reason_and_shown(desk: Desk, shop: Platform, status: str, text: str) -> None:
    page = desk.open(address("status", status))
    assert "From the next request on" in page.text
    assert "required" in Page(desk.client.post(address("status", status), {"why": ""})).text
    done = Page(desk.client.post(address("status", status), {"why": "It scrapes."}, follow=True))
    assert "Live on every server: acme." in done.messages
    assert text in done.text
    assert [offer for offer in ("Raise limits temporarily…", "+50 %") if offer in done.text] == []
    assert shop.client("acme").status == status  # type: ignore[union-attr]
    assert Client.history.first().history_change_reason == "It scrapes."
    desk.client.post(address("status", "active"), {"why": "They stopped."})
    assert shop.client("acme").status == "active"  # type: ignore[union-attr]


def test_a_status_change_keeps_a_concurrent_change(desk: Desk, shop: Platform) -> None:
    rename = partial(Client.objects.filter(key="acme").update, name="Acme Holding")
    block = partial(desk.client.post, address("status", "blocked"), {"why": "It scrapes."})
    assert overtaken_by(rename, block).status_code == 302
    client = Client.objects.get(key="acme")
    assert (client.name, client.status) == ("Acme Holding", "blocked")


class Overtaken:
    """The engine of this process, with a publication that removes every policy just after a peek at a client."""

    def __init__(self) -> None:
        self.engine = get_engine()

    @property
    def held(self) -> Any:
        return self.engine.current

    def peek_client(self, key: str) -> ClientState:
        seen = self.engine.peek_client(key)
        Policy.objects.all().delete()
        live()
        self.engine.refresh()
        return seen


def test_a_page_shows_one_version_despite_a_concurrent_publication(
    desk: Desk, shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken = Overtaken()
    monkeypatch.setattr("limits.admin.client_page.get_engine", lambda: overtaken)
    assert list(usages(desk)) == ["all:60s"]
    assert usages(desk) == {}


def test_an_unknown_status_is_a_404(desk: Desk, shop: Platform) -> None:
    assert desk.client.get(address("status", "gone")).status_code == 404


def more(desk: Desk, **changes: Any) -> Page:
    data = {"policy": "all", "percent": "150", "until": "sunday", "why": "A sale."} | changes
    return Page(desk.client.post(address("more"), data, follow=True))


def test_limits_are_raised_by_half_until_sunday(desk: Desk, shop: Platform) -> None:
    rows.limit(Policy.objects.get(), quota=10, window=1, algorithm="token_bucket", burst=5)
    live()
    page = more(desk)
    assert "Live on every server: acme." in page.messages
    override = Override.objects.get()
    assert override.ends_at == end_of("sunday", None, timezone.now())
    assert [(limit.quota, limit.burst) for limit in override.limits.all()] == [(150, None), (15, 8)]
    assert (override.reason, override.created_by.username) == ("A sale.", "ada")  # type: ignore[union-attr]
    assert [usage.capacity for usage in usages(desk).values()] == [150, 8]
    assert "150 per minute" in page.messages[0]


def test_limits_of_the_clients_segment_are_raised_and_not_those_of_the_policy(desk: Desk, shop: Platform) -> None:
    policy = Policy.objects.get()
    Client.objects.update(tags=["wholesale"])
    rows.segment_override(policy, quota=400, tags=["wholesale"])
    rows.segment_override(policy, quota=900, tags=["wholesale"], starts_at=datetime(2126, 11, 27, tzinfo=UTC))
    rows.segment_override(policy, quota=700, tags=["retail"])
    live()
    assert "all requests together: 400 per minute" in desk.open(address("more")).text
    more(desk)
    assert [limit.quota for limit in Override.objects.get().limits.all()] == [600]


def test_the_link_of_a_bar_prefills_the_form(desk: Desk, shop: Platform) -> None:
    link = f"{address('more')}?policy=all&amp;percent=150&amp;until=sunday"
    assert link in desk.open(address("change")).text
    form = desk.open(address("more"), policy="all", percent="200", until="month").response.context["form"]
    assert [form[name].value() for name in ("policy", "percent", "until")] == ["all", "200", "month"]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"policy": "nothing"}, "policy", "Choose one of the listed policies."),
        ({"until": "date"}, "last_day", "Enter the last day."),
        ({"until": "date", "last_day": "2020-01-01"}, "last_day", "This day is in the past."),
        ({"until": "date", "last_day": "soon"}, "last_day", "valid date"),
        ({"why": ""}, "why", "required"),
    ],
)
def test_invalid_values_are_reported_at_their_field(
    desk: Desk, shop: Platform, changes: dict[str, str], field: str, message: str
) -> None:
    page = more(desk, **changes)
    assert message in page.response.context["form"].errors[field][0]
    assert not Override.objects.exists()


def test_a_second_override_of_a_policy_is_rejected_with_an_explanation(desk: Desk, shop: Platform) -> None:
    more(desk, until="")
    page = more(desk)
    assert page.response.context["form"].errors["policy"] == [
        "Choose one of the listed policies. A policy with a current override is not listed: change or end that "
        "override instead."
    ]
    assert Override.objects.count() == 1


@pytest.mark.parametrize(
    ("until", "now", "end"),
    [
        ("sunday", datetime(2026, 11, 25, 12, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        ("sunday", datetime(2026, 11, 29, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        ("month", datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("month", datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        ("day", datetime(2026, 11, 25, 12, tzinfo=UTC), datetime(2026, 11, 26, 12, tzinfo=UTC)),
        ("", datetime(2026, 11, 25, tzinfo=UTC), None),
    ],
)
def test_the_end_of_each_choice(until: str, now: datetime, end: datetime | None) -> None:
    assert end_of(until, None, now) == end


def test_scaled_limits_are_rounded_up_and_stay_within_bounds() -> None:
    limits = [Limit(1, 60), Limit(900_000_000, 60, Algorithm.TOKEN_BUCKET, 700_000_000), Limit(0, 60)]
    assert [(limit.quota, limit.burst) for limit in scaled(limits, 150)] == [(2, None), (10**9, 10**9), (0, None)]


def test_the_chart_shows_this_client_and_the_page_runs_few_queries(desk: Desk, shop: Platform) -> None:
    minute = timezone.now().replace(second=0, microsecond=0)
    for key, outcome, number in (("acme", "admitted", 40), ("acme", "denied", 2), ("other", "admitted", 1_000)):
        Usage.objects.create(client_key=key, endpoint="", minute=minute, outcome=outcome, requests=number, cost=1)
    Usage.objects.create(
        client_key="acme", endpoint="", minute=minute - timedelta(days=20), outcome="denied", requests=9, cost=1
    )
    assert "42 requests: 40 admitted, 2 denied." in desk.open(address("change")).text
    with CaptureQueriesContext(connection) as queries:
        desk.open(address("change"))
    assert len(queries) <= 39
