"""The leading limit of a decision, and the reason for a denial."""

from dataclasses import replace
from typing import Any

import pytest

from ratelimit_enforcer.domain.decision import Decision, LimitState, at_cost, denial_reason, states_of
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Reason
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.readings import Reading
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


FIVE = Limit(5, 60, Algorithm.CONCURRENCY)


def _concurrency(limit: Limit, reading: Reading, *, cost: int = 1, consumes: bool = False) -> dict[str, Any]:
    (found,) = states_of([policy("p", limit)], cost, [reading], consumes=consumes, subjects=("acme",))
    assert (found.name, found.limit, found.client, found.ends_after) == ("p:concurrent", limit, "acme", None)
    names = "allowed", "remaining", "reset_after", "next_capacity_after", "retry_after", "can_ever_admit"
    return {name: getattr(found, name) for name in names}


UNUSED = (True, 0, NEVER, 0, 0)
THREE = (True, 3, 20 * SECOND_US, 55 * SECOND_US, 0)
FULL = (False, 5, 20 * SECOND_US, 55 * SECOND_US, 0)


@pytest.mark.parametrize(
    ("limit", "reading", "cost", "consumes", "figures"),
    [
        (FIVE, UNUSED, 1, False, (True, 5, 0.0, None, None, True)),
        (FIVE, UNUSED, 1, True, (True, 4, 60.0, 60.0, None, True)),
        (FIVE, THREE, 1, False, (True, 2, 55.0, 20.0, None, True)),
        (FIVE, THREE, 10**6, True, (True, 1, 60.0, 20.0, None, True)),
        (FIVE, FULL, 10**6, False, (False, 0, 55.0, 20.0, 1.0, True)),
        (replace(FIVE, quota=2), FULL, 1, False, (False, 0, 55.0, 20.0, 1.0, True)),
        (replace(FIVE, quota=0), (False, *UNUSED[1:]), 1, False, (False, 0, 0.0, None, None, False)),
    ],
    ids=[
        "unused",
        "the first place",
        "three places taken",
        "one place whatever the cost",
        "denied",
        "more taken than a lowered quota",
        "nothing admitted",
    ],
)
def test_the_state_of_a_concurrency_limit(
    limit: Limit, reading: Reading, cost: int, consumes: bool, figures: tuple[Any, ...]
) -> None:
    assert tuple(_concurrency(limit, reading, cost=cost, consumes=consumes).values()) == figures


def test_a_denial_by_a_concurrency_limit_is_never_because_of_the_cost() -> None:
    denied = states_of([policy("p", FIVE)], 10**6, [FULL], consumes=False)
    assert denial_reason(denied) is Reason.LIMIT


def test_a_request_of_cost_0_needs_no_place_and_one_of_a_cost_out_of_range_gets_none() -> None:
    peeked = decision(*states_of([policy("p", FIVE)], 1, [FULL], consumes=False), allowed=False)

    free = at_cost(peeked._replace(reason=Reason.LIMIT), 0)
    assert (free.allowed, free.reason, free.retry_after, free.denying) == (True, None, None, ())
    assert [(state.allowed, state.remaining, state.retry_after) for state in free.limits] == [(True, 0, None)]

    beyond = at_cost(peeked._replace(reason=Reason.LIMIT), 10**6 + 1)
    assert (beyond.allowed, beyond.reason, beyond.retry_after) == (False, Reason.COST_EXCEEDS_QUOTA, None)


@pytest.mark.parametrize("readings", [1, 3])
@pytest.mark.parametrize("admits", [True, False])
@pytest.mark.parametrize("consumes", [True, False])
def test_a_different_number_of_readings_and_limits_is_an_error(readings: int, admits: bool, consumes: bool) -> None:
    rules = [policy("p", Limit(3, 60)), policy("q", Limit(9, 60))]
    with pytest.raises(ValueError, match=f"{readings} readings for 2 limits"):
        states_of(rules, 1, [(admits, 0, NEVER, 0, 0)] * readings, consumes=consumes)
