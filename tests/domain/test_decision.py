"""The leading limit of a decision, and the reason for a denial."""

from typing import Any

import pytest

from ratelimit_enforcer.domain.decision import Decision, LimitState, denial_reason, states_of
from ratelimit_enforcer.domain.enums import Mode, Reason
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.sliding_window import NEVER
from tests.support.deciding import policy


def state(name: str, **fields: Any) -> LimitState:
    defaults: dict[str, Any] = {
        "policy": "policy",
        "mode": Mode.ENFORCE,
        "limit": Limit(10, 60),
        "override": None,
        "allowed": True,
        "remaining": 5,
        "reset_after": 30.0,
        "next_capacity_after": 1.0,
        "retry_after": None,
        "can_ever_admit": True,
    }
    return LimitState(name=name, **defaults | fields)


def decision(*limits: LimitState, allowed: bool = True) -> Decision:
    return Decision(allowed, None, "acme", "free", "search", 1, 7, limits)


def denying(name: str, wait: float | None) -> LimitState:
    return state(name, allowed=False, remaining=0, retry_after=wait)


def test_when_denied_the_denying_limit_with_the_longest_wait_leads() -> None:
    denied = decision(denying("a", 3.0), denying("b", 9.0), state("c", remaining=0), allowed=False)
    assert denied.leading
    assert (denied.leading.name, denied.retry_after) == ("b", 9.0)


def test_a_limit_that_never_admits_leads() -> None:
    denied = decision(denying("a", 3.0), denying("b", None), allowed=False)
    assert denied.leading
    assert (denied.leading.name, denied.retry_after) == ("b", None)


@pytest.mark.parametrize(
    ("states", "leader"),
    [
        ([state("a", remaining=2), state("b", remaining=1)], "b"),
        ([state("a", reset_after=1.0), state("b", reset_after=2.0)], "b"),
        ([state("b"), state("a")], "a"),
        ([state("a"), state("b", remaining=0, mode=Mode.SHADOW, allowed=False)], "a"),
    ],
    ids=["least remaining", "then longest reset", "then by name", "never a shadow limit"],
)
def test_the_leading_limit_of_an_admitted_request(states: list[LimitState], leader: str) -> None:
    admitted = decision(*states)
    assert admitted.leading
    assert admitted.leading.name == leader
    assert admitted.retry_after is None


def test_without_enforcing_limits_none_leads() -> None:
    assert decision().leading is None
    assert decision(state("a", mode=Mode.SHADOW)).leading is None


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([state("a")], None),
        ([state("a", allowed=False, mode=Mode.SHADOW)], None),
        ([denying("a", 1.0), state("b")], Reason.LIMIT),
        ([denying("a", 1.0), state("b", allowed=False, can_ever_admit=False)], Reason.COST_EXCEEDS_QUOTA),
    ],
)
def test_the_reason_of_a_denial(states: list[LimitState], reason: Reason | None) -> None:
    assert denial_reason(states) == reason


def _denied(limit: Limit, figures: tuple[int, int, int, int]) -> LimitState:
    return states_of([policy("p", limit)], 1, [(False, *figures)], consumes=False)[0]


def test_figures_are_converted_to_seconds_and_never_to_none() -> None:
    read = _denied(Limit(0, 60), (0, NEVER, 0, NEVER))
    assert (read.next_capacity_after, read.retry_after, read.remaining, read.can_ever_admit) == (None, None, 0, False)
    read = _denied(Limit(3, 60), (5, SECOND_US, 2 * SECOND_US, SECOND_US // 2))
    assert (read.next_capacity_after, read.reset_after, read.retry_after, read.remaining) == (1.0, 2.0, 0.5, 0)


@pytest.mark.parametrize("readings", [1, 3])
@pytest.mark.parametrize("admits", [True, False])
@pytest.mark.parametrize("consumes", [True, False])
def test_a_different_number_of_readings_and_limits_is_an_error(readings: int, admits: bool, consumes: bool) -> None:
    rules = [policy("p", Limit(3, 60)), policy("q", Limit(9, 60))]
    with pytest.raises(ValueError, match=f"{readings} readings for 2 limits"):
        states_of(rules, 1, [(admits, 0, NEVER, 0, 0)] * readings, consumes=consumes)
