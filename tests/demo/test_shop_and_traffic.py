"""The demo: a shop with rate limits, and an hour of simulated traffic."""

import re
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client as Browser
from pytest_django import Settings

from demo.management.commands import play_traffic
from demo.traffic import MINUTES_PLAYED, SCRAPER, visits
from limits.models import Alert, PolicyDenial, Publication, Usage
from limits.monitoring.alerts import evaluate
from limits.monitoring.drain import drain
from ratelimit_platform.embedded.redis import RedisServer
from ratelimit_platform.running import bootstrap
from tests.publishing.platforms import Platform, platform
from tests.support.forked import run_forked
from tests.support.web import outer_environment

__all__ = ["platform"]

pytestmark = pytest.mark.django_db

SHOP = Path(__file__).parents[2] / "demo" / "shop.yaml"


@pytest.fixture
def shop(platform: Platform, settings: Settings) -> Platform:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": "demo.shop.shop_client"}
    call_command("apply_config", str(SHOP), stdout=StringIO())
    return platform


def get(path: str, key: str | None = None) -> int:
    return Browser().get(path, headers={"X-Shop-Key": key} if key else {}).status_code


def test_the_reason_of_the_first_version_contains_no_local_path(platform: Platform) -> None:
    bootstrap._load_demo()
    assert Publication.objects.get().reason == "The demo shop, from demo/shop.yaml."


def test_an_unregistered_caller_is_limited_in_the_search_only(shop: Platform) -> None:
    assert [get("/shop/search?q=tea") for _ in range(11)] == [200] * 10 + [429]
    assert get("/shop/cart") == 200
    assert get("/shop/search", key="acme") == 200
    assert get("/shop/search", key="scraper-9000") == 403


@pytest.mark.parametrize(("demo", "identifier"), [("1", "demo.shop.shop_client"), ("0", "")])
def test_the_shops_client_identifier_is_used_only_in_the_demo(demo: str, identifier: str) -> None:
    script = "from django.conf import settings; print(settings.RATELIMIT_PLATFORM['CLIENT_IDENTIFIER'])"
    variables = outer_environment() | {"DJANGO_SETTINGS_MODULE": "ratelimit_platform.settings", "DEMO": demo}
    assert run_forked(["-c", script], variables).stdout.strip() == identifier


def test_orders_cost_five_requests(shop: Platform) -> None:
    answer = Browser().post("/shop/orders", headers={"X-Shop-Key": "acme"})
    assert answer.status_code == 201
    assert '"orders-per-hour:3600s";r=95' in answer["RateLimit"]


def test_an_hour_of_traffic_is_counted_completely(shop: Platform) -> None:
    out = StringIO()
    call_command("play_traffic", stdout=out)
    told = sum(len(visits(minute)) for minute in range(MINUTES_PLAYED))
    assert out.getvalue().startswith(f"{told:,} requests: ")
    drain()
    assert sum(Usage.objects.values_list("requests", flat=True)) == told
    assert {row.outcome for row in Usage.objects.all()} == {"admitted", "denied", "blocked", "exempt"}
    assert Usage.objects.values("minute").distinct().count() >= MINUTES_PLAYED
    assert Usage.objects.filter(endpoint="").exists()
    assert {row.mode for row in PolicyDenial.objects.all()} == {"enforce", "shadow"}
    evaluate()
    fired = {(alert.rule.name, alert.group) for alert in Alert.objects.all()}
    assert {("search-abuse", SCRAPER), ("upsell", SCRAPER)} <= fired
    assert {rule for rule, _ in fired} <= {"search-abuse", "upsell", "platform"}


def test_the_outcomes_add_up_to_what_is_printed(shop: Platform) -> None:
    out = StringIO()
    call_command("play_traffic", stdout=out)
    numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", out.getvalue().splitlines()[0])]
    assert numbers[0] == sum(numbers[1:])


def test_a_connection_slower_than_the_deadline_is_awaited(
    redis_server: Callable[..., RedisServer], platform: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the first connection may take longer than the deadline of 100 ms."""
    server = redis_server()
    platform.use(server.url)
    call_command("apply_config", str(SHOP), stdout=StringIO())
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CHECK_DEADLINE": 0.1}
    server.pause()
    pause = time.sleep

    def resume_and_pause(seconds: float) -> None:
        server.resume()
        pause(seconds)

    monkeypatch.setattr(time, "sleep", resume_and_pause)
    assert play_traffic._current() is not None


def test_without_rules_the_error_names_the_solution(platform: Platform) -> None:
    with pytest.raises(CommandError, match="Start the platform first: make run"):
        call_command("play_traffic")
