"""The usage counts that a decided request adds.

``store/scripts/decide.lua`` counts the same in the call that decides. This module is for requests
that were not decided in one call.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Reason
from ratelimit_enforcer.domain.limit import MAX_COST

THRESHOLDS = (50, 80, 90, 100)
"""Percentages of a quota; a count is added when a request takes a limit's usage past one of them."""


class RequestKind(StrEnum):
    """The letters under which requests are counted in Redis. In upper case: their cost beyond 1."""

    ADMITTED = "a"
    DENIED = "d"
    BLOCKED = "b"
    EXEMPT = "e"


class PolicyKind(StrEnum):
    """The letters under which a policy's verdicts are counted in Redis, next to the marks (``"50"`` to ``"100"``) and
    the units of grants (:func:`ratelimit_enforcer.domain.grants.grant_of_kind`)."""

    DENIED = "d"
    WOULD_DENY = "s"
    """Counted in shadow mode only, for a request that was admitted."""
    OVER_QUOTA = "q"
    """The units that the policy admitted beyond quota and grants."""
    OVER_QUOTA_RETURNED = "Q"
    """The units over quota that a settlement refunded."""


class SettlementKind(StrEnum):
    """The letters under which reservations and their settlements are counted in Redis, in the minute in which each
    happens, with an empty policy. The amounts are cost, except for the number of settlements."""

    RESERVED = "v"
    """Consumed by an admitted reservation, which is also counted as a request with this cost."""
    SETTLEMENTS = "n"
    """The number of settlements."""
    SETTLED = "t"
    """The actual cost of settled reservations."""
    REFUNDED = "r"
    DEBITED = "x"
    """By which settlements exceeded the reserved cost, and the cost of charges."""
    OVERDRAWN = "o"
    """The part of the debited cost that was beyond a quota."""


_STATUS_KINDS = {Reason.BLOCKED: RequestKind.BLOCKED, Reason.EXEMPT: RequestKind.EXEMPT}


class Count(NamedTuple):
    """One count and the ``amount`` to add. ``kind``: a :class:`RequestKind` or :class:`SettlementKind` if ``policy`` is
    empty, else a :class:`PolicyKind` or a mark. ``client``: an ancestor whose limit it concerns; empty: the request's
    client."""

    kind: str
    policy: str
    amount: int
    client: str = ""


def counts_of(decision: Decision) -> Iterator[Count]:
    """Yields the counts of one request: the request, its cost, the policies that denied it, the policies
    in shadow mode that would have denied an admitted request, and the marks that its cost passed. Units over quota are
    counted only by the script that consumes them.

    A request that was denied because the store is unavailable counts as denied.
    """
    yield from _counts_of_request(decision, decision.cost, allowed=decision.allowed)
    yield from _counts_of_policies(decision, allowed=decision.allowed)
    yield from _counts_of_thresholds(decision, decision.limits, allowed=decision.allowed)


def counts_of_group(decisions: Sequence[Decision], consuming: Sequence[Sequence[LimitState]]) -> Iterator[list[Count]]:
    """Yields the counts of each of several requests that were decided together, as ``store/scripts/together.lua``
    counts them. Each client is counted once: by its first request, at the largest of its costs. A request of cost 0 is
    not counted. ``consuming``: for each request the limits that consumed its cost, and not that of another request."""
    allowed = all(decision.allowed for decision in decisions)
    highest: dict[str, int] = {}
    for decision in decisions:
        highest[decision.client] = max(decision.cost, highest.get(decision.client, 0))
    counted, denied = set[str](), set[tuple[str, str]]()
    for decision, limits in zip(decisions, consuming, strict=True):
        client, counts = decision.client, list[Count]()
        if decision.cost and client not in counted:
            counted.add(client)
            counts += _counts_of_request(decision, highest[client], allowed=allowed)
        verdicts = _counts_of_policies(decision, allowed=allowed)
        counts += [count for count in verdicts if (client, count.policy) not in denied]
        denied |= {(client, count.policy) for count in counts if count.policy}
        yield [*counts, *_counts_of_thresholds(decision, limits, allowed=allowed)]


def _counts_of_request(decision: Decision, cost: int, *, allowed: bool) -> Iterator[Count]:
    kind = _STATUS_KINDS.get(decision.reason) if decision.reason else None
    kind = kind or (RequestKind.ADMITTED if allowed else RequestKind.DENIED)
    yield Count(kind, "", 1)
    # A cost of 0 counts as -1 beyond the first unit; a cost above what any limit admits, as the highest cost.
    beyond_one = min(cost, MAX_COST) - 1
    if beyond_one:
        yield Count(kind.upper(), "", beyond_one)


def _counts_of_policies(decision: Decision, *, allowed: bool) -> Iterator[Count]:
    denying = {state.policy: state.mode for state in decision.limits if not state.allowed}
    for policy, mode in denying.items():
        if mode is Mode.ENFORCE:
            yield Count(PolicyKind.DENIED, policy, 1)
        elif allowed:
            yield Count(PolicyKind.WOULD_DENY, policy, 1)


def _counts_of_thresholds(decision: Decision, limits: Sequence[LimitState], *, allowed: bool) -> Iterator[Count]:
    if allowed and not decision.degraded:
        for state in limits:
            if state.is_enforced:
                yield from _thresholds_reached(state, decision)


def _thresholds_reached(state: LimitState, decision: Decision) -> Iterator[Count]:
    """Yields nothing for a concurrency limit: the requests in progress at one moment are no usage of a quota."""
    if state.limit.algorithm is Algorithm.CONCURRENCY:
        return
    capacity = state.limit.capacity
    before = capacity - state.remaining + state.granted + (state.over_quota or 0) + state.granted_taken - decision.cost
    after = before + decision.cost
    ancestor = state.client if state.client not in (None, decision.client) else None
    for threshold in THRESHOLDS:
        if before * 100 < threshold * capacity <= after * 100:
            yield Count(str(threshold), state.policy, 1, ancestor or "")
