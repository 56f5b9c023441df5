"""The rate limit header fields, read by a third-party parser of structured fields."""

from fractions import Fraction
from math import ceil
from typing import Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Period
from ratelimit_enforcer.domain.headers import LegacyHeaders, closest_to_denying, rate_limit_headers, retry_after_header
from ratelimit_enforcer.domain.limit import Limit

PER_MINUTE = Limit(100, 60)


def state(
    name: str = "pro-search:60s",
    *,
    limit: Limit = PER_MINUTE,
    mode: Mode = Mode.ENFORCE,
    allowed: bool = True,
    remaining: int = 41,
    reset_after: float = 31.2,
    next_capacity_after: float | None = 0.4,
    retry_after: float | None = None,
    ends_after: float | None = None,
) -> LimitState:
    policy = name.partition(":")[0]
    figures = remaining, reset_after, next_capacity_after, retry_after
    return LimitState(name, policy, mode, limit, None, allowed, *figures, can_ever_admit=True, ends_after=ends_after)


def decision(*limits: LimitState, degraded: bool = False) -> Decision:
    allowed = all(limit.allowed for limit in limits if limit.is_enforced)
    return Decision(allowed, None, "acme", "pro", "search", 1, 17, limits, degraded)


def parsed(field: str) -> list[tuple[str, dict[str, object]]]:
    """The items of a list as (name, parameters)."""
    items: Any = http_sf.parse(field.encode(), tltype="list")
    return [(str(item), dict(parameters)) for item, parameters in items]


def test_the_fields_of_the_documentation() -> None:
    assert rate_limit_headers(decision(state())) == {
        "RateLimit-Policy": '"pro-search:60s";q=100;w=60',
        "RateLimit": '"pro-search:60s";r=41;t=32',
    }


BUCKET = Limit(10, 1, Algorithm.TOKEN_BUCKET, 25)
DAY = Limit(1_000, None, Algorithm.CALENDAR, period=Period.DAY)
FIVE = Limit(5, 60, Algorithm.CONCURRENCY)


def test_one_item_for_each_enforcing_limit() -> None:
    bucket = state("pro-total:1s-bucket", limit=BUCKET, remaining=24, reset_after=0.1)
    calendar = state("free-total:day", limit=DAY, ends_after=31.2)
    shadow = state("trial:60s", mode=Mode.SHADOW)

    headers = rate_limit_headers(decision(state(), bucket, shadow, calendar))

    assert parsed(headers["RateLimit-Policy"]) == [
        ("pro-search:60s", {"q": 100, "w": 60}),
        ("pro-total:1s-bucket", {"q": 25, "w": 3}),
        ("free-total:day", {"q": 1_000}),
    ]
    assert parsed(headers["RateLimit"]) == [
        ("pro-search:60s", {"r": 41, "t": 32}),
        ("pro-total:1s-bucket", {"r": 24, "t": 3}),
        ("free-total:day", {"r": 41, "t": 32}),
    ]


@pytest.mark.parametrize(
    ("found", "t"),
    [
        (state(reset_after=59.000001), 60),
        (state(remaining=100, reset_after=0.0), 60),
        (state(remaining=41, reset_after=24.0), 25),
        (state(remaining=0, reset_after=12.0), 12),
        (state(limit=BUCKET, remaining=25, reset_after=0.0), 3),
        (state(limit=BUCKET, remaining=1, reset_after=2.31), 3),
        (state(limit=Limit(1, 86_400, Algorithm.TOKEN_BUCKET, 2), remaining=1, reset_after=5.0), 86_400),
        (state(limit=DAY, remaining=1_000, reset_after=0.0, ends_after=7_200.5), 7_201),
        (state(limit=DAY, remaining=1, reset_after=7_200.5, ends_after=7_200.5), 7_201),
    ],
    ids=[
        "a sliding window until it is unused",
        "an unused one at the pace of its quota",
        "no faster than the quota allows",
        "nothing left",
        "a full bucket at the pace of its refill",
        "a bucket until it is full",
        "a slow bucket",
        "an unused calendar period until its end",
        "a calendar period until its end",
    ],
)
def test_t_is_the_time_that_the_remaining_quota_has_to_last(found: LimitState, t: int) -> None:
    ((_, parameters),) = parsed(rate_limit_headers(decision(found))["RateLimit"])
    assert parameters == {"r": found.remaining, "t": t}


def test_a_denial_lists_the_denying_limits_with_their_waits() -> None:
    soon = state("a:60s", allowed=False, remaining=0, reset_after=60.0, retry_after=0.2)
    late = state("b:60s", allowed=False, remaining=3, reset_after=60.0, retry_after=12.000001)
    never = state("c:60s", limit=Limit(0, 60), allowed=False, remaining=0, reset_after=0.0)
    shadow = state("d:60s", mode=Mode.SHADOW, allowed=False, retry_after=50.0)

    headers = rate_limit_headers(decision(state(), soon, shadow, late))
    assert parsed(headers["RateLimit"]) == [("a:60s", {"r": 0, "t": 1}), ("b:60s", {"r": 3, "t": 13})]
    assert [name for name, _ in parsed(headers["RateLimit-Policy"])] == ["pro-search:60s", "a:60s", "b:60s"]
    assert retry_after_header(decision(state(), soon, shadow, late)) == {"Retry-After": "13"}

    assert parsed(rate_limit_headers(decision(never, late))["RateLimit"]) == [
        ("c:60s", {"r": 0}),
        ("b:60s", {"r": 3, "t": 13}),
    ]
    assert retry_after_header(decision(never, late)) == {}


def test_a_concurrency_limit_has_a_unit_and_no_times() -> None:
    found = state("pro-search:concurrent", limit=FIVE, remaining=3, reset_after=60.0)

    assert rate_limit_headers(decision(found)) == {
        "RateLimit-Policy": '"pro-search:concurrent";q=5;qu="concurrent-requests"',
        "RateLimit": '"pro-search:concurrent";r=3',
    }


def test_a_denial_by_a_concurrency_limit_has_retry_after_and_no_t() -> None:
    concurrent = state("pro-search:concurrent", limit=FIVE, allowed=False, remaining=0, retry_after=1.0)
    late = state("b:60s", allowed=False, remaining=3, reset_after=60.0, retry_after=12.5)

    alone = decision(state(), concurrent)
    assert rate_limit_headers(alone) == {
        "RateLimit-Policy": '"pro-search:60s";q=100;w=60, "pro-search:concurrent";q=5;qu="concurrent-requests"',
        "RateLimit": '"pro-search:concurrent";r=0',
    }
    assert retry_after_header(alone) == {"Retry-After": "1"}
    assert rate_limit_headers(decision(concurrent, late))["RateLimit"] == (
        '"pro-search:concurrent";r=0, "b:60s";r=3;t=13'
    )
    assert retry_after_header(decision(concurrent, late)) == {"Retry-After": "13"}


@pytest.mark.parametrize(
    "unlimited",
    [decision(), decision(state(mode=Mode.SHADOW)), decision(state(), degraded=True)],
    ids=["no limit", "only shadow", "degraded"],
)
@pytest.mark.parametrize("legacy", LegacyHeaders)
def test_no_fields_without_enforced_limits(unlimited: Decision, legacy: LegacyHeaders) -> None:
    assert rate_limit_headers(unlimited, legacy) == {}


def test_the_legacy_fields_describe_the_leading_limit() -> None:
    tight = state("b:60s", limit=Limit(7, 60), remaining=2, reset_after=30.000001)

    legacy = {"X-RateLimit-Limit": "7", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "31"}

    assert rate_limit_headers(decision(state(), tight), LegacyHeaders.INSTEAD) == legacy
    beside = rate_limit_headers(decision(state(), tight), LegacyHeaders.BESIDE)
    assert beside == rate_limit_headers(decision(state(), tight)) | legacy


@pytest.mark.parametrize(
    ("waits", "header"),
    [
        ([12.000001], {"Retry-After": "13"}),
        ([12.0], {"Retry-After": "12"}),
        ([0.000001], {"Retry-After": "1"}),
        ([0.0], {"Retry-After": "1"}),
        ([5.0, 70.5], {"Retry-After": "71"}),
        ([5.0, None], {}),
        ([], {}),
    ],
)
def test_retry_after_is_the_longest_wait_in_whole_seconds(waits: list[float | None], header: dict[str, str]) -> None:
    denying = [state(f"policy-{at}:60s", allowed=False, retry_after=wait) for at, wait in enumerate(waits)]

    assert retry_after_header(decision(state(), *denying)) == header


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z0-9]{1,30}(-[a-z0-9]{1,30})?:[0-9]{1,8}s(-bucket)?", fullmatch=True),
            st.integers(0, 10**9),
            st.integers(0, 10**9),
            st.floats(0, 31_622_400),
        ),
        min_size=1,
    )
)
def test_every_list_of_limits_can_be_parsed(drawn: list[tuple[str, int, int, float]]) -> None:
    limits = [
        state(name, limit=Limit(quota, 60), remaining=min(remaining, quota), reset_after=reset)
        for name, quota, remaining, reset in drawn
    ]

    headers = rate_limit_headers(decision(*limits))

    assert parsed(headers["RateLimit-Policy"]) == [(name, {"q": quota, "w": 60}) for name, quota, _, _ in drawn]
    assert parsed(headers["RateLimit"]) == [
        (
            name,
            {"r": min(remaining, quota), "t": max(ceil(reset), ceil(Fraction(min(remaining, quota) * 60, quota or 1)))},
        )
        for name, quota, remaining, reset in drawn
    ]


def denied(name: str, wait: float | None) -> Decision:
    return decision(state(name, allowed=False, remaining=0, retry_after=wait))


@pytest.mark.parametrize(
    ("decisions", "closest"),
    [
        ([decision(state("a:60s", remaining=3)), decision(state("b:60s", remaining=2))], 1),
        ([decision(state("a:60s", reset_after=9.0)), decision(state("b:60s", reset_after=8.0))], 0),
        ([decision(state("a:60s", remaining=0)), denied("b:60s", 3.0)], 1),
        ([denied("a:60s", 3.0), denied("b:60s", 4.0)], 1),
        ([denied("a:60s", None), denied("b:60s", 4.0)], 0),
        ([decision(), decision(state("b:60s"))], 1),
        ([denied("a:60s", 4.0), decision()._replace(allowed=False)], 1),
    ],
    ids=[
        "least remaining",
        "longest reset",
        "denied",
        "longest wait",
        "waiting cannot help",
        "a limit at all",
        "blocked",
    ],
)
def test_the_headers_use_the_decision_closest_to_denying(decisions: list[Decision], closest: int) -> None:
    assert closest_to_denying(decisions) is decisions[closest]
    assert closest_to_denying(reversed(decisions)) is decisions[closest]
