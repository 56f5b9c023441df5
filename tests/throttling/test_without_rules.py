"""Views without a ruleset or without the store."""

import logging
import time
from collections.abc import Callable

import pytest
from django.http import HttpResponse
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ratelimit_enforcer import protection
from ratelimit_enforcer.domain.enums import OnStoreFailure
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.throttling import PolicyThrottle
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import serve
from tests.support.servers import Store
from tests.throttling.views import KEY_IN_HEADER, request_of, send


class Search(APIView):
    throttle_classes = (PolicyThrottle,)

    def get(self, request: Request) -> Response:
        return Response("here")


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that has not written anything in this minute."""
    monkeypatch.setattr(protection, "_without_ruleset", RateLimitedLog(logging.getLogger("ratelimit_enforcer")))


def search() -> HttpResponse:
    return send(Search.as_view())


def test_before_the_first_ruleset_requests_are_admitted_and_that_is_logged_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [search() for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert not any(answer.has_header("RateLimit") for answer in answers)
    assert caplog.messages == [
        "No ruleset has been published yet. Requests are admitted, according to RATELIMIT_PLATFORM['WITHOUT_RULESET']."
    ]


def test_before_the_first_ruleset_a_setting_can_deny_with_retry_after(
    store: Store, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WITHOUT_RULESET": "deny"}
    answers = [search() for _ in range(5)]
    assert {(answer.status_code, answer["Retry-After"]) for answer in answers} == {(503, "1")}
    assert len(caplog.messages) == 1


def test_the_first_publication_applies_to_the_next_request(store: Store, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": KEY_IN_HEADER}
    assert search().status_code == 200
    store.publish(one_policy(OnStoreFailure.LOCAL))
    store.load()
    assert [search().status_code for _ in range(3)] == [200, 200, 429]


def one_policy(on_store_failure: OnStoreFailure) -> Ruleset:
    policy = Policy("all", (Limit(2, 3_600),), on_store_failure=on_store_failure)
    return Ruleset(
        (Plan("free", "Free"),), default_plan="free", endpoints=(Endpoint("search", "Search"),), policies=(policy,)
    )


@pytest.mark.parametrize(
    ("on_store_failure", "statuses"),
    [(OnStoreFailure.ALLOW, [200] * 4), (OnStoreFailure.DENY, [503] * 4), (OnStoreFailure.LOCAL, [200, 200, 429, 429])],
)
def test_the_policy_defines_the_fallback_without_the_store(
    settings: Settings,
    redis_server: Callable[..., RedisServer],
    on_store_failure: OnStoreFailure,
    statuses: list[int],
) -> None:
    server = redis_server()
    store = Store(server.url, "away")
    serve(settings, store)
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {
        "CLIENT_IDENTIFIER": KEY_IN_HEADER,
        "NAMESPACE": f"away-{on_store_failure}",
    }
    store = Store(server.url, f"away-{on_store_failure}")
    store.publish(one_policy(on_store_failure))
    store.load()
    send(Search.as_view(), request_of("somebody before"))
    server.kill()
    answers = [search() for _ in range(4)]
    assert [answer.status_code for answer in answers] == statuses
    assert not any(answer.has_header("RateLimit") for answer in answers), "These figures are not the store's."


def test_a_rate_limited_log_writes_one_line_per_interval(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RateLimitedLog(logging.getLogger("limited"), interval=60)
    for number in range(3):
        log.warning("number %s", number)
    assert caplog.messages == ["number 0"]
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    log.warning("number %s", 3)
    assert caplog.messages == ["number 0", "number 3"]
