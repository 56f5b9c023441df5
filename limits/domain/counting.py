"""What a decided request adds to the usage figures.

``store/lua/decide.lua`` counts the same in the call that decides. This is for requests that were
not decided in one call.
"""

from collections.abc import Iterator
from typing import NamedTuple

from limits.domain.decision import Decision, LimitState
from limits.domain.limit import MAX_COST
from limits.domain.words import Mode, Reason

MARKS = (50, 80, 90, 100)
"""Hundredths of a quota; it is counted when a request takes a limit over one of them."""

_STATUS_KINDS = {Reason.BLOCKED: "b", Reason.EXEMPT: "e"}


class Count(NamedTuple):
    """``kind`` as ``store/lua/parts/usage.lua`` explains it; ``policy`` is empty for the request itself."""

    kind: str
    policy: str
    amount: int


def counts_of(decision: Decision) -> Iterator[Count]:
    """Yields the counts of one request: itself, its cost, the policies that denied it, those in shadow
    mode that would have denied it though it was admitted, and the marks that it crossed.

    One that was refused because the store is unavailable is a denied one.
    """
    kind = _STATUS_KINDS.get(decision.reason) or ("a" if decision.allowed else "d")  # type: ignore[arg-type]
    yield Count(kind, "", 1)
    # A request without a cost counts as one that cost one less; what no limit admits, as the most that one may.
    beyond_one = min(decision.cost, MAX_COST) - 1
    if beyond_one:
        yield Count(kind.upper(), "", beyond_one)
    denying = {state.policy: state.mode for state in decision.limits if not state.allowed}
    for policy, mode in denying.items():
        if mode is Mode.ENFORCE:
            yield Count("d", policy, 1)
        elif decision.allowed:
            yield Count("s", policy, 1)
    if decision.allowed and not decision.degraded:
        for state in decision.limits:
            if state.is_enforced:
                yield from _crossings(state, decision.cost)


def _crossings(state: LimitState, cost: int) -> Iterator[Count]:
    capacity = state.limit.capacity
    after = capacity - state.remaining
    for mark in MARKS:
        if (after - cost) * 100 < mark * capacity <= after * 100:
            yield Count(str(mark), state.policy, 1)
