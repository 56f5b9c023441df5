"""The drop-in classes: names and behaviour of the framework's classes, but exact under concurrency."""

import itertools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache as default_cache
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django_redis.cache import RedisCache
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import AnonRateThrottle, ScopedRateThrottle, SimpleRateThrottle, UserRateThrottle
from rest_framework.views import APIView

from ratelimit_enforcer import throttling
from ratelimit_enforcer.conf import project
from ratelimit_enforcer.domain.rate import InvalidRate
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.throttling import (
    AtomicAnonRateThrottle,
    AtomicScopedRateThrottle,
    AtomicSimpleRateThrottle,
    AtomicUserRateThrottle,
    CannotDecide,
)
from ratelimit_platform.embedded.redis import RedisServer, free_port
from tests.support.histories import history_settings
from tests.support.servers import LONG_DEADLINE, Store

pytestmark = pytest.mark.usefixtures("store")

REQUESTS, THREADS = 1_000, 32


class ByName(AtomicSimpleRateThrottle):
    """Limits by the name passed as the view, to three requests per minute."""

    rate = "3/min"

    def get_cache_key(self, request: Any, view: Any) -> str | None:
        return None if view == "nobody" else f"by-name-{view}"


def allowed(throttle: type[SimpleRateThrottle], view: str = "ann") -> bool:
    return throttle().allow_request(None, view)  # type: ignore[arg-type]


def at(throttle: type[SimpleRateThrottle], seconds: float) -> type[Any]:
    """The same class with a fixed time."""
    return type("At", (throttle,), {"timer": lambda self: seconds})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (AtomicSimpleRateThrottle, SimpleRateThrottle),
        (AtomicUserRateThrottle, UserRateThrottle),
        (AtomicAnonRateThrottle, AnonRateThrottle),
        (AtomicScopedRateThrottle, ScopedRateThrottle),
    ],
)
def test_each_class_is_a_subclass_of_the_frameworks_with_the_same_scope(ours: type[Any], theirs: type[Any]) -> None:
    assert issubclass(ours, theirs)
    assert ours.scope == theirs.scope
    assert ours.get_cache_key is theirs.get_cache_key


def test_the_quota_is_admitted_and_then_denied() -> None:
    assert [allowed(ByName) for _ in range(5)] == [True, True, True, False, False]
    assert allowed(ByName, "bob")


def test_an_entry_that_is_exactly_one_duration_old_has_expired() -> None:
    assert [allowed(at(ByName, 1_000.25)) for _ in range(4)] == [True, True, True, False]
    assert not allowed(at(ByName, 1_060.249999))
    assert allowed(at(ByName, 1_060.25))


def test_after_a_small_step_back_of_the_clock_no_entry_expires_early() -> None:
    assert [allowed(at(ByName, 1_000)) for _ in range(2)] == [True, True]
    assert [allowed(at(ByName, 999.5)), allowed(at(ByName, 999.5))] == [True, False]
    denied = at(ByName, 999.75)()
    assert (denied.allow_request(None, "ann"), denied.wait()) == (False, 60.25)
    assert not allowed(at(ByName, 1_059.99))
    assert [allowed(at(ByName, 1_060)) for _ in range(4)] == [True, True, True, False]


def test_after_a_clock_was_a_day_ahead_no_wait_exceeds_the_window() -> None:
    assert [allowed(at(ByName, 87_400)) for _ in range(3)] == [True, True, True]
    denied = at(ByName, 1_000)()
    assert (denied.allow_request(None, "ann"), denied.wait()) == (False, 60)
    later = at(ByName, 1_030)()
    assert (later.allow_request(None, "ann"), later.wait()) == (False, 30)
    assert [allowed(at(ByName, 1_060)) for _ in range(4)] == [True, True, True, False]


def test_a_denied_request_does_not_count() -> None:
    for second in range(3):
        assert allowed(at(ByName, second))
    for second in range(3, 60):
        assert not allowed(at(ByName, second))
    assert [allowed(at(ByName, 60)), allowed(at(ByName, 60))] == [True, False]


def test_a_class_without_its_own_timer_uses_the_stores_clock(store: Store) -> None:
    throttle = ByName()
    before, _ = store.redis.time()
    assert throttle.allow_request(None, "ann")  # type: ignore[arg-type]
    assert before <= throttle.now <= before + LONG_DEADLINE
    assert throttle.timer is SimpleRateThrottle.timer


@pytest.mark.parametrize(("rate", "wait"), [("2/min", 60), ("2/5m", 300), ("2/day", 86_400)])
def test_the_wait_is_until_the_oldest_entry_expires(rate: str, wait: float) -> None:
    throttle = type("Rated", (ByName,), {"rate": rate})
    assert [allowed(at(throttle, 0)), allowed(at(throttle, 10))] == [True, True]
    denied = at(throttle, 20)()
    assert not denied.allow_request(None, "ann")
    assert denied.wait() == wait - 20


def test_after_a_lowered_rate_the_wait_is_until_enough_entries_expired() -> None:
    """In this case the framework returns no wait."""
    for second in (0, 10, 20):
        allowed(at(ByName, second))
    lower = type("Lower", (ByName,), {"rate": "2/min"})
    denied = at(lower, 30)()
    assert (denied.allow_request(None, "ann"), denied.wait()) == (False, 40)
    assert not allowed(at(lower, 69.999))
    assert allowed(at(lower, 70))


def test_a_rate_of_zero_has_no_wait() -> None:
    """The framework reports that the next request would be admitted after one period."""
    allowed(at(ByName, 0))
    never = type("Never", (ByName,), {"rate": "0/min"})
    for name in ("ann", "bob"):
        denied = at(never, 1)()
        assert (denied.allow_request(None, name), denied.wait()) == (False, None)


def test_a_denial_by_a_rate_of_zero_has_no_retry_after() -> None:
    throttle = type("Never", (AtomicAnonRateThrottle,), {"rate": "0/min"})
    view = type("Closed", (APIView,), {"throttle_classes": (throttle,), "get": lambda self, request: Response()})
    answer = view.as_view()(APIRequestFactory().get("/"))
    assert (answer.status_code, answer.has_header("Retry-After")) == (429, False)


def test_a_history_set_by_the_caller_is_evaluated_by_the_framework() -> None:
    """The framework's own tests do this: a list of three entries although one is allowed."""
    throttle = ByName()
    throttle.num_requests, throttle.duration, throttle.now = 1, 60, 0.0
    throttle.history = [0.0, 0.0, 0.0]
    assert throttle.wait() is None


def test_a_request_without_an_address_has_the_frameworks_key() -> None:
    request = Request(HttpRequest())
    request.user = AnonymousUser()
    assert AtomicAnonRateThrottle().get_cache_key(request, None) == "throttle_anon_None"


def test_the_history_has_its_length_and_the_oldest_entry_only() -> None:
    for second in range(3):
        throttle = at(ByName, second)()
        throttle.allow_request(None, "ann")
    assert (len(throttle.history), throttle.history[-1]) == (3, 0)
    for look in (lambda: throttle.history[1], lambda: list(throttle.history)):
        with pytest.raises(LookupError, match=r"history\[-1\]"):
            look()
    with pytest.raises(IndexError):
        throttle.history[3]


@pytest.mark.parametrize(("quota", "answers"), [("0/min", [False, False]), (None, [True, True])])
def test_a_rate_of_zero_and_a_missing_rate_differ(quota: str | None, answers: list[bool]) -> None:
    throttle = type("Rated", (ByName,), {"rate": quota, "scope": "s", "THROTTLE_RATES": {"s": None}})
    assert [allowed(throttle), allowed(throttle)] == answers


def test_without_a_key_there_is_no_limit(store: Store) -> None:
    assert all(allowed(ByName, "nobody") for _ in range(5))
    assert store.redis.keys(f"{store.keys.namespace}:rate:*") == []


def test_an_invalid_rate_is_rejected() -> None:
    with pytest.raises(InvalidRate, match="“month” is not a period"):
        type("Monthly", (ByName,), {"rate": "5/month"})()


def test_a_scope_without_a_rate_is_rejected_as_by_the_framework() -> None:
    with pytest.raises(ImproperlyConfigured, match="No default throttle rate set for 'none' scope"):
        type("Scoped", (AtomicUserRateThrottle,), {"scope": "none", "THROTTLE_RATES": {}})()


def test_users_are_limited_separately_and_anonymous_callers_by_address() -> None:
    throttle = type("PerUser", (AtomicUserRateThrottle,), {"THROTTLE_RATES": {"user": "1/day"}})
    anonymous = type("PerAddress", (AtomicAnonRateThrottle,), {"THROTTLE_RATES": {"anon": "1/day"}})

    def send(throttle: type[Any], user: Any, address: str = "192.0.2.1") -> bool:
        request = Request(APIRequestFactory().get("/", REMOTE_ADDR=address))
        request.user = user
        answer: bool = throttle().allow_request(request, None)
        return answer

    assert [send(throttle, User(pk=1)), send(throttle, User(pk=1)), send(throttle, User(pk=2))] == [True, False, True]
    assert [send(anonymous, AnonymousUser()), send(anonymous, AnonymousUser())] == [True, False]
    assert send(anonymous, AnonymousUser(), "192.0.2.2")
    assert all(send(anonymous, User(pk=1)) for _ in range(3))


def test_a_view_defines_its_scope() -> None:
    class Scoped(AtomicScopedRateThrottle):
        THROTTLE_RATES = {"uploads": "2/day"}

    class Uploads(APIView):
        throttle_classes = (Scoped,)
        throttle_scope: str | None = "uploads"

        def get(self, request: Request) -> Response:
            return Response("here")

    answers = [Uploads.as_view()(APIRequestFactory().get("/")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 86_390 <= int(answers[2]["Retry-After"]) <= 86_400
    free = [Uploads.as_view(throttle_scope=None)(APIRequestFactory().get("/")) for _ in range(3)]
    assert {answer.status_code for answer in free} == {200}


def test_throttle_failure_of_a_subclass_is_called() -> None:
    class Loud(ByName):
        failures: list[str] = []

        def throttle_failure(self) -> bool:
            self.failures.append(self.key)
            return super().throttle_failure()

    for _ in range(5):
        allowed(Loud)
    assert Loud.failures == ["by-name-ann"] * 2


def test_1000_requests_from_32_threads_admit_exactly_the_quota() -> None:
    throttle = type("Fifty", (ByName,), {"rate": "50/min"})
    with ThreadPoolExecutor(THREADS) as pool:
        admitted = list(pool.map(lambda _: allowed(throttle), range(REQUESTS)))
    assert (len(admitted), sum(admitted)) == (REQUESTS, 50)


def test_a_request_is_one_command_of_redis(store: Store) -> None:
    allowed(ByName)
    store.redis.config_resetstat()
    for _ in range(10):
        allowed(ByName)
    counted = store.redis.info("commandstats")
    by_this_test = {"cmdstat_config", "cmdstat_config|resetstat", "cmdstat_info"}
    by_the_script = {f"cmdstat_{name}" for name in ("time", "lindex", "llen", "lpush", "pexpire")}
    assert counted["cmdstat_evalsha"]["calls"] == 10
    assert set(counted) - by_this_test - by_the_script == {"cmdstat_evalsha"}


def test_a_log_expires_with_its_last_entry(store: Store) -> None:
    allowed(ByName)
    (key,) = store.redis.keys(f"{store.keys.namespace}:rate:*")
    assert 59_000 <= store.redis.pttl(key) <= 60_001
    assert key.decode().endswith(f":rate:ratelimit_platform.settings:{default_cache.make_key('by-name-ann')}")


def test_two_projects_on_one_redis_have_separate_logs(settings: Settings) -> None:
    """Even if their caches have the same prefix, as by default."""
    platform = settings.RATELIMIT_PLATFORM

    def send(project: str, rate: str) -> bool:
        settings.RATELIMIT_PLATFORM = platform | {"PROJECT": project}
        return allowed(type("Rated", (ByName,), {"rate": rate}))

    assert [send("shop", "2/day") for _ in range(3)] == [True, True, False]
    assert [send("blog", "5/s"), send("blog:1", "5/s"), send("", "5/s")] == [True, True, True]
    assert not send("shop", "2/day")


def test_project_names_and_keys_cannot_be_confused() -> None:
    keys = Keys("rl")
    assert keys.rate_log("shop", "blog:throttle_anon_1") == "rl:rate:shop:blog:throttle_anon_1"
    assert len({keys.rate_log(*parts) for parts in (("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"), ("", "a:b:c"))}) == 4


def test_the_project_name_defaults_to_the_settings_module(settings: Settings, store: Store) -> None:
    assert project() == "ratelimit_platform.settings"
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"PROJECT": "shop"}
    assert project() == "shop"


def test_a_class_may_use_another_cache_from_any_thread(
    settings: Settings, store: Store, redis_server: Callable[..., RedisServer]
) -> None:
    other = redis_server()
    backend = "django_redis.cache.RedisCache"
    settings.CACHES = settings.CACHES | {"other": {"BACKEND": backend, "LOCATION": other.url, "KEY_PREFIX": "shop"}}
    throttle = type("Elsewhere", (ByName,), {"cache": caches["other"]})
    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(allowed, throttle).result() for _ in range(4)] == [True, True, True, False]
    assert other.client.keys() == [
        f"{store.keys.namespace}:rate:ratelimit_platform.settings:shop:1:by-name-ann".encode()
    ]
    assert allowed(ByName)


def test_a_cache_that_is_not_in_the_settings_is_reported(redis_url: str) -> None:
    throttle = type("Strange", (ByName,), {"cache": RedisCache(redis_url, {"KEY_PREFIX": "strange"})})
    with pytest.raises(LookupError, match="not in the project's CACHES"):
        allowed(throttle)


@pytest.fixture
def store_unavailable(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RateLimitedLog(logging.getLogger("ratelimit_enforcer.throttling"))
    monkeypatch.setattr(throttling, "_store_unavailable", log)
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {
        "REDIS": f"redis://127.0.0.1:{free_port()}/0",
        "CHECK_DEADLINE": 0.1,
    }


@pytest.mark.usefixtures("store_unavailable")
def test_without_the_store_requests_are_admitted_and_that_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    assert all(allowed(ByName) for _ in range(5))
    lines = [record.getMessage() for record in caplog.records if record.name == "ratelimit_enforcer.throttling"]
    assert len(lines) == 1
    assert lines[0].endswith("Requests are admitted, according to RATELIMIT_PLATFORM['WITHOUT_RULESET'].")


@pytest.mark.usefixtures("store_unavailable")
def test_without_the_store_a_setting_can_deny_requests(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WITHOUT_RULESET": "deny"}
    for _ in range(3):
        with pytest.raises(CannotDecide):
            allowed(ByName)


class TheirsByName(SimpleRateThrottle):
    """The framework's class with a separate cache."""

    cache = LocMemCache("theirs", {})

    def get_cache_key(self, request: Any, view: Any) -> str:
        return f"theirs-{view}"


def their_wait(throttle: SimpleRateThrottle) -> float | None:
    """The wait that the framework reports, corrected if it reports none or a wrong one."""
    if throttle.num_requests == 0:
        return None
    lowered = len(throttle.history) > (throttle.num_requests or 0)
    last = throttle.history[throttle.num_requests - 1]  # type: ignore[operator]
    return throttle.duration - (throttle.now - last) if lowered else throttle.wait()  # type: ignore[operator]


NUMBERS = itertools.count()
PASSED = st.one_of(st.integers(0, 90_000), st.integers(0, 7_200_000))
RATES = st.sampled_from(["0/min", "1/min", "3/min", "5/min", "2/hour", "4/day", "60/hour"])
STEPS = st.lists(st.tuples(PASSED, RATES), max_size=30)


@history_settings(120)
@given(steps=STEPS)
def test_random_histories_have_the_same_results_as_with_the_frameworks_class(steps: list[tuple[int, str]]) -> None:
    """Times in milliseconds, and several rates on one history: decisions and waits are the same."""
    name = f"history-{next(NUMBERS)}"
    default = {"rate": "3/min"}
    ours_base, theirs_base = type("Ours", (ByName,), default), type("Theirs", (TheirsByName,), default)
    now = 0
    for passed, rate in steps:
        now += passed
        ours = at(type("Rated", (ours_base,), {"rate": rate}), now / 1000)()
        theirs = at(type("Rated", (theirs_base,), {"rate": rate}), now / 1000)()
        answers = ours.allow_request(None, name), theirs.allow_request(None, name)
        assert answers[0] == answers[1]
        assert len(ours.history) == len(theirs.history)
        if not answers[0]:
            assert ours.wait() == pytest.approx(their_wait(theirs))
