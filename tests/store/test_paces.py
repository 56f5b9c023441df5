"""A client that follows the headers of the responses is never denied."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import http_sf
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.decision import Decision, denial_reason, states_of
from ratelimit_enforcer.domain.enums import Algorithm, Mode
from ratelimit_enforcer.domain.headers import rate_limit_headers, retry_after_header
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from tests.support.deciding import START, Desk, policy
from tests.support.histories import COSTS, history_settings, limits, policies

ROUNDS = 3
"""How many times ``t`` a client keeps the same request rate."""

PAST = st.lists(st.tuples(st.integers(0, 90_000_000), st.integers(1, 12)), max_size=12)
SMALL = limits().filter(lambda limit: 1 <= limit.capacity <= 60)
"""Below 64 requests in a window, no request expires late from a sliding window."""

Items = dict[str, dict[str, int]]


def check(desk: Desk, rules: Sequence[EffectivePolicy], now: int, cost: int = 1) -> Decision:
    """The decision on one request at ``now``, derived as in the engine."""
    desk.at(now)
    answer = desk.check("ann", rules, cost)
    states = states_of(rules, cost, answer.readings, consumes=answer.admitted)
    reason = None if answer.admitted else denial_reason(states)
    return Decision(answer.admitted, reason, "ann", "free", None, cost, 1, states)


def field(decision: Decision, name: str) -> Items:
    """The items of a header, read by a third-party parser of structured fields."""
    items: Any = http_sf.parse(rate_limit_headers(decision).get(name, "").encode(), tltype="list")
    return {str(item): dict(parameters) for item, parameters in items}


def use(desk: Desk, rules: Sequence[EffectivePolicy], past: list[tuple[int, int]]) -> int:
    """Sends the requests. Returns the time of the last one."""
    now = START
    for wait, cost in past:
        now += wait
        check(desk, rules, now, cost)
    return now


@history_settings(300)
@given(limit=SMALL, past=PAST)
def test_remaining_requests_spread_evenly_over_t_are_admitted(
    desk: Desk, limit: Limit, past: list[tuple[int, int]]
) -> None:
    """During ``t`` and, unless the length of the period changes, at the same rate afterwards."""
    desk.delete_counters()
    rules = [policy("alone", limit)]
    start = use(desk, rules, past)
    first = check(desk, rules, start)
    if not first.allowed:
        return
    ((_, told),) = field(first, "RateLimit").items()
    rounds = 1 if limit.algorithm is Algorithm.CALENDAR else ROUNDS
    for number in range(1, told["r"] * rounds + 1):
        now = start + -(-number * told["t"] * SECOND_US // told["r"])
        assert check(desk, rules, now).allowed


@history_settings(200)
@given(rules=st.lists(SMALL, min_size=1, max_size=3, unique_by=lambda limit: limit.label), past=PAST)
def test_a_client_that_follows_all_limits_of_each_response_is_never_denied(
    desk: Desk, rules: list[Limit], past: list[tuple[int, int]]
) -> None:
    desk.delete_counters()
    asked = [policy("alone", *rules)]
    decision = check(desk, asked, now := use(desk, asked, past))
    if not decision.allowed:
        now += int(retry_after_header(decision)["Retry-After"]) * SECOND_US
        decision = check(desk, asked, now)
    for _ in range(20):
        assert decision.allowed
        told = field(decision, "RateLimit").values()
        now += ceil(max(each["t"] * SECOND_US / max(each["r"], 1) for each in told))
        decision = check(desk, asked, now)


@history_settings(300)
@given(rules=policies(), past=PAST, cost=COSTS)
def test_a_request_after_the_reported_wait_is_admitted(
    desk: Desk, rules: list[EffectivePolicy], past: list[tuple[int, int]], cost: int
) -> None:
    desk.delete_counters()
    now = use(desk, rules, past)
    denied = check(desk, rules, now, cost)
    if denied.allowed:
        return
    told, wait = field(denied, "RateLimit"), retry_after_header(denied).get("Retry-After")
    enforced = [state.name for state in denied.limits if state.mode is Mode.ENFORCE]
    assert list(field(denied, "RateLimit-Policy")) == enforced
    assert list(told) == [state.name for state in denied.denying]
    if wait is None:
        assert any("t" not in each for each in told.values())
        return
    assert int(wait) == max(each["t"] for each in told.values())
    assert check(desk, rules, now + int(wait) * SECOND_US, cost).allowed
