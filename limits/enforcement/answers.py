"""From what the store said to a decision."""

from limits.domain.client import ClientRecord
from limits.domain.decision import STATE_READERS, Decision, LimitState, denial_reason
from limits.domain.ruleset import Endpoint
from limits.domain.words import ClientStatus, Reason
from limits.enforcement.held import Held, Layout
from limits.store.decider import Decided
from limits.store.packing import FIGURES

_STATUS_REASONS = {ClientStatus.BLOCKED: Reason.BLOCKED, ClientStatus.EXEMPT: Reason.EXEMPT}


def decision_of(
    held: Held, record: ClientRecord, endpoint: Endpoint | None, layout: Layout, cost: int, answer: Decided
) -> Decision:
    """The decision that the store made."""
    limits = _limit_states(layout, cost, answer)
    reason = _STATUS_REASONS.get(record.status) or denial_reason(limits)
    return Decision(
        allowed=answer.admitted and record.status is not ClientStatus.BLOCKED,
        reason=reason,
        client=record.key,
        plan=held.plan_of(record),
        endpoint=endpoint.slug if endpoint else None,
        cost=cost,
        ruleset=held.version.sequence,
        limits=limits,
        degraded=not answer.complete,
    )


def unavailable(held: Held, record: ClientRecord, endpoint: Endpoint | None, cost: int) -> Decision:
    """The answer while the store is away."""
    return Decision(
        allowed=False,
        reason=Reason.STORE_UNAVAILABLE,
        client=record.key,
        plan=held.plan_of(record),
        endpoint=endpoint.slug if endpoint else None,
        cost=cost,
        ruleset=held.version.sequence,
        degraded=True,
    )


def _limit_states(layout: Layout, cost: int, answer: Decided) -> tuple[LimitState, ...]:
    states, at = [], 0
    for policy in layout.policies:
        for limit in policy.limits:
            admits, *figures = answer.readings[at : at + FIGURES]
            at += FIGURES
            read = STATE_READERS[limit.algorithm]
            name = policy.policy.name_of(limit)
            states.append(read(name, policy.policy.slug, policy.mode, limit, cost, admits == 1, figures))
    return tuple(states)
