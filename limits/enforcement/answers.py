"""From what the store said to a decision."""

from limits.domain.decision import STATE_READERS, Decision, LimitState, denial_reason
from limits.domain.words import ClientStatus, Reason
from limits.enforcement.attempts import Attempt
from limits.store.decider import Decided
from limits.store.packing import FIGURES

STATUS_REASONS = {ClientStatus.BLOCKED: Reason.BLOCKED, ClientStatus.EXEMPT: Reason.EXEMPT}


def decision_of(attempt: Attempt, answer: Decided) -> Decision:
    """The decision that the store made."""
    limits = _limit_states(attempt, answer)
    reason = STATUS_REASONS.get(attempt.record.status) or denial_reason(limits)
    return Decision(
        allowed=answer.admitted and attempt.record.status is not ClientStatus.BLOCKED,
        reason=reason,
        client=attempt.record.key,
        plan=attempt.held.plan_of(attempt.record),
        endpoint=attempt.endpoint.slug if attempt.endpoint else None,
        cost=attempt.cost,
        ruleset=attempt.held.version.sequence,
        limits=limits,
        degraded=not answer.complete,
    )


def _limit_states(attempt: Attempt, answer: Decided) -> tuple[LimitState, ...]:
    states, at = [], 0
    for policy in attempt.layout.policies:
        for limit in policy.limits:
            admits, *figures = answer.readings[at : at + FIGURES]
            at += FIGURES
            read = STATE_READERS[limit.algorithm]
            name = policy.policy.name_of(limit)
            states.append(read(name, policy.policy.slug, policy.mode, limit, attempt.cost, admits == 1, figures))
    return tuple(states)
