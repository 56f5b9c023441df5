"""The rate limit fields, read by a parser of structured fields that is not ours."""

from math import ceil
from typing import Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.domain.decision import Decision, LimitState
from limits.domain.headers import LegacyHeaders, closest_to_denying, rate_limit_headers, retry_after_header
from limits.domain.limit import Limit
from limits.domain.words import Algorithm, Mode, Period

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
) -> LimitState:
    policy = name.partition(":")[0]
    figures = remaining, reset_after, next_capacity_after, retry_after
    return LimitState(name, policy, mode, limit, allowed, *figures, can_ever_admit=True)


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
        "RateLimit": '"pro-search:60s";r=41;t=1',
    }


def test_one_item_for_each_enforcing_limit() -> None:
    bucket = state("pro-total:1s-bucket", limit=Limit(10, 1, Algorithm.TOKEN_BUCKET, 20), next_capacity_after=None)
    calendar = state("free-total:day", limit=Limit(1_000, None, Algorithm.CALENDAR, period=Period.DAY))
    shadow = state("trial:60s", mode=Mode.SHADOW)

    headers = rate_limit_headers(decision(state(), bucket, shadow, calendar))

    assert parsed(headers["RateLimit-Policy"]) == [
        ("pro-search:60s", {"q": 100, "w": 60}),
        ("pro-total:1s-bucket", {"q": 20, "w": 1}),
        ("free-total:day", {"q": 1_000}),
    ]
    assert parsed(headers["RateLimit"]) == [
        ("pro-search:60s", {"r": 41, "t": 1}),
        ("pro-total:1s-bucket", {"r": 41}),
        ("free-total:day", {"r": 41, "t": 1}),
    ]


@pytest.mark.parametrize(
    "unlimited",
    [decision(), decision(state(mode=Mode.SHADOW)), decision(state(), degraded=True)],
    ids=["no limit", "only shadow", "degraded"],
)
@pytest.mark.parametrize("legacy", LegacyHeaders)
def test_no_fields_where_there_is_nothing_to_say(unlimited: Decision, legacy: LegacyHeaders) -> None:
    assert rate_limit_headers(unlimited, legacy) == {}


def test_the_older_fields_speak_of_the_leading_limit() -> None:
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
            st.none() | st.floats(0, 31_622_400, exclude_min=True),
        ),
        min_size=1,
    )
)
def test_every_list_of_limits_can_be_read_back(drawn: list[tuple[str, int, int, float | None]]) -> None:
    limits = [
        state(name, limit=Limit(quota, 60), remaining=remaining, next_capacity_after=wait)
        for name, quota, remaining, wait in drawn
    ]

    headers = rate_limit_headers(decision(*limits))

    assert parsed(headers["RateLimit-Policy"]) == [(name, {"q": quota, "w": 60}) for name, quota, _, _ in drawn]
    assert parsed(headers["RateLimit"]) == [
        (name, {"r": remaining} | ({} if wait is None else {"t": ceil(wait)})) for name, _, remaining, wait in drawn
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
def test_of_several_decisions_the_one_closest_to_denying_speaks(decisions: list[Decision], closest: int) -> None:
    assert closest_to_denying(decisions) is decisions[closest]
    assert closest_to_denying(reversed(decisions)) is decisions[closest]
