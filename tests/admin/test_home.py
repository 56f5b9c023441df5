"""The home page of the admin."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client as HttpClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import Redis

from limits.models import Client, Policy, Progress, Publication, Usage, UsageHour, Work
from limits.monitoring.alerts import evaluate
from limits.monitoring.drain import drain
from limits.publishing.reconciler import reconcile
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_platform.embedded.redis import RedisServer
from tests.admin.desk import Desk
from tests.management.running import run
from tests.models import rows
from tests.publishing.platforms import Platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def count(key: str, outcome: str, requests: int, endpoint: str = "search", ago: timedelta = timedelta()) -> datetime:
    minute = timezone.now().replace(second=0, microsecond=0) - ago
    Usage.objects.create(
        client_key=key, endpoint=endpoint, minute=minute, outcome=outcome, requests=requests, cost=requests
    )
    return minute


def test_the_page_shows_the_live_version_with_time_and_author(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    live_at = Publication.objects.get(sequence=2).live_at
    text = desk.open("/admin/").text
    assert f"Version 2 has been live on every server since {date_and_time(live_at)}." in text
    assert "Published by ada: Somebody asked for it." in text


def test_the_page_shows_what_is_not_live_with_the_reason(desk: Desk, shop: Platform) -> None:
    shop.make_store_unavailable()
    desk.change(Policy.objects.get(), limits__0__quota="7")
    desk.change(Client.objects.get(), status="blocked")
    text = desk.open("/admin/").text
    assert "Version 2 is not live yet." in text
    assert "Redis is unavailable, so the version in force is unknown." in text
    assert "servers apply version 1" not in text
    assert "1 client change is not live yet." in text


def test_a_hanging_redis_is_called_once_with_the_deadline_of_checks(
    desk: Desk,
    shop: Platform,
    redis_server: Callable[..., RedisServer],
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call with the control plane's client would delay the page by two more seconds."""
    server = redis_server()
    shop.use(server.url)
    reconcile()
    asked: list[object] = []
    execute = Redis.execute_command
    monkeypatch.setattr(
        Redis, "execute_command", lambda *args, **options: asked.append(args[1]) or execute(*args, **options)
    )
    desk.open("/admin/")
    assert "INFO" in asked
    asked.clear()
    server.pause()
    try:
        text = desk.open("/admin/").text
    finally:
        server.resume()
        shop.use(redis_url)
    assert "Redis is unavailable, so the version in force is unknown." in text
    assert asked == []


def test_home_page_readyz_and_decisions_agree_on_the_emergency_switch(
    desk: Desk, shop: Platform, client: HttpClient, redis_server: Callable[..., RedisServer], redis_url: str
) -> None:
    """The switch is turned on while Redis is unavailable, so this server continues with its cached rules."""
    server = redis_server()
    shop.use(server.url)
    reconcile()
    assert not get_engine().check(CheckRequest("acme", "any")).degraded
    assert (stated(client), "Emergency switch is" in desk.open("/admin/").text) == ((1, False, 1), False)

    server.kill()
    assert run("shadow_all", "on").status == 2
    text = desk.open("/admin/").text
    assert "Emergency switch is on, but not confirmed live on every server yet" in text
    assert "Version 2 is not live yet." in text
    assert "This server: version 1, emergency switch off" in text
    assert stated(client) == (1, False, None)
    answer = get_engine().check(CheckRequest("acme", "any"))
    assert (answer.degraded, answer.ruleset) == (True, 1)

    server.start()
    reconcile()
    wait_until(lambda: stated(client) == (2, True, 2))
    text = desk.open("/admin/").text
    assert "Emergency switch is on: limits not enforced (blocks stay)" in text
    assert "Version 2 has been live on every server since" in text
    shop.use(redis_url)


def stated(client: HttpClient) -> tuple[int, bool, int | None]:
    """A server's version, the state of its emergency switch, and the version in Redis, from ``/readyz``."""
    body = client.get("/readyz").json()
    return body["ruleset"], body["emergency_switch"], body["store_ruleset"]


def test_an_unconfirmed_change_of_the_emergency_switch_is_shown(desk: Desk, shop: Platform) -> None:
    assert run("shadow_all", "on").status == 0
    shop.make_store_unavailable()
    assert run("shadow_all", "off").status == 2
    assert "Emergency switch is off, but not confirmed live on every server yet" in desk.open("/admin/").text


def test_the_page_reports_an_empty_store(desk: Desk, shop: Platform) -> None:
    shop.empty()
    assert "Redis contains no rules." in desk.open("/admin/").text


def test_the_page_reports_a_store_with_rules_of_another_database(desk: Desk, shop: Platform) -> None:
    Publication.objects.update(epoch="another")
    assert "publish_ruleset --take-over" in desk.open("/admin/").text


def test_the_page_shows_the_last_day(desk: Desk, shop: Platform) -> None:
    count("acme", "admitted", 70)
    count("acme", "denied", 20)
    count("bot", "denied", 30)
    count("", "denied", 5, endpoint="")
    count("acme", "blocked", 2)
    count("bot", "denied", 1_000, ago=timedelta(hours=30))
    page = desk.open("/admin/")
    shown = page.response.context
    assert "127 requests: 70 admitted, 55 denied, 2 blocked." in page.text
    assert [(each.name, each.denied, each.requests, pk is not None) for each, pk in shown["throttled_clients"]] == [
        ("bot", 30, 30, False),
        ("acme", 20, 92, True),
        ("(other)", 5, 5, False),
    ]
    assert [(each.name, each.denied) for each in shown["throttled_endpoints"]] == [("search", 50), ("(unknown)", 5)]
    assert (shown["unknown"].requests, shown["unknown"].clients) == (5, [("(other)", 5)])
    assert any("counted together as “(other)”" in warning for warning in shown["warnings"])


def test_the_page_shows_clients_close_to_a_limit(desk: Desk, shop: Platform) -> None:
    """From a check that reaches a quota threshold, through the drain, to the page."""
    for key, used in (("acme", 85), ("quiet", 10)):
        get_engine().check(CheckRequest(key, "any", cost=used))
    assert drain()
    close = desk.open("/admin/").response.context["close"]
    assert [(each.client, each.policy, each.mark, pk is not None) for each, pk in close] == [("acme", "all", 80, True)]


def test_the_page_shows_open_alerts(desk: Desk, shop: Platform) -> None:
    rows.alert_rule("abuse", group_by="client")
    count("bot", "denied", 60)
    evaluate()
    assert "abuse: bot" in desk.open("/admin/").text


def test_an_empty_platform_shows_the_first_steps(desk: Desk, platform: Platform) -> None:
    page = desk.open("/admin/")
    assert [step.done for step in page.response.context["steps"]] == [False] * 5
    assert "First steps" in page.text
    rows.default_plan("free")
    assert [step.done for step in desk.open("/admin/").response.context["steps"]] == [True, *[False] * 4]


def test_a_platform_in_use_does_not_show_the_first_steps(desk: Desk, shop: Platform) -> None:
    rows.endpoint("search")
    rows.token()
    count("acme", "admitted", 1)
    assert "First steps" not in desk.open("/admin/").text


def test_a_platform_without_recent_requests_does_not_show_the_first_steps(desk: Desk, shop: Platform) -> None:
    """Minutes are kept for two days; older hours also prove that there were requests."""
    rows.endpoint("search")
    rows.token()
    friday = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    UsageHour.objects.create(hour=friday, client_key="acme", endpoint="search", outcome="admitted", requests=1, cost=1)
    assert "First steps" not in desk.open("/admin/").text


def test_the_number_of_queries_does_not_depend_on_the_amount_of_data(desk: Desk, shop: Platform) -> None:
    count("acme", "denied", 1)
    desk.open("/admin/")
    with CaptureQueriesContext(connection) as few:
        desk.open("/admin/")
    for number in range(50):
        rows.client(f"client-{number}")
        count(f"client-{number}", "denied", number, endpoint=f"endpoint-{number % 9}")
    with CaptureQueriesContext(connection) as many:
        desk.open("/admin/")
    assert len(many) <= len(few)


def test_the_page_reports_that_the_drain_is_late(desk: Desk, shop: Platform) -> None:
    drain()
    assert "Usage was last read from Redis" not in desk.open("/admin/").text
    Progress.objects.filter(work=Work.DRAIN).update(at=timezone.now() - timedelta(minutes=10))
    assert "Usage was last read from Redis" in desk.open("/admin/").text
