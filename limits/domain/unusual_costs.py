"""Requests that cost nothing, or more than any limit admits: both follow from a caller's data in
projects whose cost is a function of the request, so both are answers and not errors."""

from limits.domain.decision import Decision, LimitState
from limits.domain.limit import MAX_COST
from limits.domain.words import Reason

FREE = 0


def is_usual(cost: int) -> bool:
    """Whether limits can be asked for this cost."""
    return 1 <= cost <= MAX_COST


def usual(cost: int) -> int:
    """The nearest cost that limits can be asked for."""
    return min(max(cost, 1), MAX_COST)


def at_cost(looked: Decision, cost: int) -> Decision:
    """The decision about a request of this cost, from a look at what :func:`usual` makes of it.

    A cost of 0 is admitted even where nothing is left. One above :data:`MAX_COST` is denied as
    ``cost_exceeds_quota`` wherever an enforcing limit applies. Blocked and exempt clients, and a
    policy that answers ``store_unavailable``, are as for any other cost.
    """
    if looked.reason not in (None, Reason.LIMIT, Reason.COST_EXCEEDS_QUOTA):
        return looked._replace(cost=cost)
    admits = cost == FREE
    limits = tuple(_state(state, admits=admits) for state in looked.limits)
    allowed = admits or not any(state.is_enforced for state in limits)
    reason = None if allowed else Reason.COST_EXCEEDS_QUOTA
    return looked._replace(allowed=allowed, reason=reason, cost=cost, limits=limits, undisputed=False)


def _state(state: LimitState, *, admits: bool) -> LimitState:
    return state._replace(allowed=admits, retry_after=None, can_ever_admit=admits)
