"""The answers to decisions."""

import json
from typing import Any

import pytest

from gateway.proto.rls_pb2 import RateLimitResponse
from gateway.rls.answers import Answers
from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Period, Reason
from ratelimit_enforcer.domain.headers import LegacyHeaders
from ratelimit_enforcer.domain.limit import Limit

MINUTE = Limit(100, 60)
OK, OVER_LIMIT = RateLimitResponse.OK, RateLimitResponse.OVER_LIMIT


def state(limit: Limit = MINUTE, remaining: int = 41, *, name: str = "search:60s", **fields: Any) -> LimitState:
    mode, allowed, retry_after = fields.pop("mode", Mode.ENFORCE), fields.pop("allowed", True), None
    if not allowed:
        retry_after = fields.pop("retry_after", 12.2)
    return LimitState(
        name, name.partition(":")[0], mode, limit, None, allowed, remaining, 31.25, 0.5, retry_after, True, **fields
    )


def decision(*states: LimitState, **fields: Any) -> Decision:
    allowed = all(each.allowed or each.mode is Mode.SHADOW for each in states)
    made = Decision(allowed, None if allowed else Reason.LIMIT, "acme", "free", "search", 1, 17, states)
    return made._replace(**fields)


def answer(*results: Decision | None, **settings: Any) -> RateLimitResponse:
    return RateLimitResponse.FromString(Answers(**settings).answer(results))


def headers(found: RateLimitResponse) -> dict[str, str]:
    return {header.key: header.value for header in found.response_headers_to_add}


def test_an_admitted_request_has_the_state_of_the_leading_limit_and_the_headers() -> None:
    found = answer(decision(state()))
    (status,) = found.statuses
    current = status.current_limit
    assert (found.overall_code, status.code) == (OK, OK)
    assert (current.name, current.requests_per_unit, current.unit) == ("search:60s", 100, current.MINUTE)
    assert status.limit_remaining == 41
    assert (status.duration_until_reset.seconds, status.duration_until_reset.nanos) == (31, 250_000_000)
    assert headers(found) == {
        "RateLimit-Policy": '"search:60s";q=100;w=60',
        "RateLimit": '"search:60s";r=41;t=32',
    }
    assert found.raw_body == b""


def test_a_denied_request_has_the_headers_and_the_problem_document() -> None:
    found = answer(decision(state(remaining=0, allowed=False)))
    assert (found.overall_code, found.statuses[0].code) == (OVER_LIMIT, OVER_LIMIT)
    assert headers(found) == {
        "RateLimit-Policy": '"search:60s";q=100;w=60',
        "RateLimit": '"search:60s";r=0;t=13',
        "Retry-After": "13",
        "Content-Type": "application/problem+json",
    }
    document = json.loads(found.raw_body)
    assert document["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert (document["status"], document["violated-policies"]) == (429, ["search:60s"])
    assert (document["client"], document["reason"], document["detail"]) == ("acme", "limit", "Denied by search:60s.")


def test_each_descriptor_tells_its_own_result_and_one_denial_denies_all() -> None:
    found = answer(
        decision(state()), None, decision(state(name="orders:60s", allowed=False, remaining=0)), decision(state())
    )
    assert [status.code for status in found.statuses] == [OK, OK, OVER_LIMIT, OK]
    assert found.overall_code == OVER_LIMIT
    assert headers(found)["RateLimit"] == '"orders:60s";r=0;t=13'


def test_the_headers_are_those_of_the_decision_closest_to_denying() -> None:
    found = answer(decision(state(remaining=41)), decision(state(name="orders:60s", remaining=2)))
    assert headers(found)["RateLimit-Policy"] == '"orders:60s";q=100;w=60'


def test_an_unmatched_descriptor_is_ok_and_unlimited() -> None:
    found = answer(None)
    assert (found.overall_code, [status.code for status in found.statuses]) == (OK, [OK])
    assert not found.statuses[0].HasField("current_limit")
    assert headers(found) == {}


def test_a_shadow_policy_denies_nothing() -> None:
    found = answer(decision(state(mode=Mode.SHADOW, allowed=False, remaining=0)))
    assert (found.overall_code, found.statuses[0].code) == (OK, OK)
    assert headers(found) == {}


@pytest.mark.parametrize(
    ("reason", "degraded", "kind", "expected"),
    [
        (Reason.BLOCKED, False, "/problems/client-blocked", {"Content-Type": "application/problem+json"}),
        (
            Reason.STORE_UNAVAILABLE,
            True,
            "/problems/store-unavailable",
            {"Retry-After": "1", "Content-Type": "application/problem+json"},
        ),
    ],
)
def test_other_denials_are_over_limit_too(reason: Reason, degraded: bool, kind: str, expected: dict[str, str]) -> None:
    found = answer(decision(allowed=False, reason=reason, degraded=degraded))
    assert (found.overall_code, found.statuses[0].code) == (OVER_LIMIT, OVER_LIMIT)
    assert headers(found) == expected
    document = json.loads(found.raw_body)
    assert (document["type"], document["status"], document["reason"]) == (kind, 429, reason)


def test_a_degraded_decision_has_no_figures() -> None:
    found = answer(decision(state(), degraded=True))
    assert found.overall_code == OK
    assert not found.statuses[0].HasField("current_limit")
    assert headers(found) == {}


@pytest.mark.parametrize(
    ("limit", "requests", "unit"),
    [
        (Limit(5, 1), 5, "SECOND"),
        (Limit(5, 3_600), 5, "HOUR"),
        (Limit(5, 86_400), 5, "DAY"),
        (Limit(5, 604_800), 5, "WEEK"),
        (Limit(5, 90), 5, "UNKNOWN"),
        (Limit(5, 60, Algorithm.TOKEN_BUCKET, 50), 5, "MINUTE"),
        (Limit(10**9, 60), 10**9, "MINUTE"),
        (Limit(5, algorithm=Algorithm.CALENDAR, period=Period.WEEK), 5, "WEEK"),
        (Limit(5, algorithm=Algorithm.CALENDAR, period=Period.MONTH), 5, "MONTH"),
        (Limit(5, algorithm=Algorithm.CALENDAR, period=Period.YEAR), 5, "YEAR"),
    ],
)
def test_a_limit_is_given_in_units_of_envoy(limit: Limit, requests: int, unit: str) -> None:
    current = answer(decision(state(limit, ends_after=60.0))).statuses[0].current_limit
    assert (current.requests_per_unit, current.Unit.Name(current.unit)) == (requests, unit)


def test_what_remains_is_at_most_what_the_field_can_have() -> None:
    assert answer(decision(state(remaining=2**40))).statuses[0].limit_remaining == 2**32 - 1


def test_limits_of_one_name_do_not_share_an_answer() -> None:
    for quota, spread in ((5, 48), (6, 50), (5, 48)):
        found = answer(decision(state(Limit(quota, 60), remaining=quota - 1)))
        assert found.statuses[0].current_limit.requests_per_unit == quota
        assert headers(found) == {
            "RateLimit-Policy": f'"search:60s";q={quota};w=60',
            "RateLimit": f'"search:60s";r={quota - 1};t={spread}',
        }


def test_a_request_with_several_limits_has_the_headers_of_all() -> None:
    found = answer(decision(state(remaining=41), state(name="all:60s", remaining=2)))
    assert found.statuses[0].current_limit.name == "all:60s"
    assert headers(found)["RateLimit"] == '"search:60s";r=41;t=32, "all:60s";r=2;t=32'


def test_the_leading_limit_is_that_of_each_answer() -> None:
    for left in (2, 60, 2):
        found = answer(decision(state(remaining=41), state(name="all:60s", remaining=left)))
        status = found.statuses[0]
        assert (status.current_limit.name, status.limit_remaining) == (
            ("all:60s", left) if left < 41 else ("search:60s", 41)
        )
        assert headers(found)["RateLimit-Policy"] == '"search:60s";q=100;w=60, "all:60s";q=100;w=60'


def test_older_headers_are_sent_if_the_setting_says_so() -> None:
    found = answer(decision(state()), legacy=LegacyHeaders.INSTEAD)
    assert headers(found) == {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "41", "X-RateLimit-Reset": "32"}


def test_browsers_may_read_the_headers_if_the_setting_says_so() -> None:
    denied = answer(decision(state(remaining=0, allowed=False)), exposes=True)
    assert headers(denied)["Access-Control-Expose-Headers"] == "RateLimit-Policy, RateLimit, Retry-After"
    assert "Access-Control-Expose-Headers" not in headers(answer(None, exposes=True))
