"""From what the store said to a decision."""

from limits.domain.decision import Decision, denial_reason, states_of
from limits.domain.words import ClientStatus, Reason
from limits.enforcement.attempts import Attempt
from limits.store.decider import Decided

STATUS_REASONS = {ClientStatus.BLOCKED: Reason.BLOCKED, ClientStatus.EXEMPT: Reason.EXEMPT}


def decision_of(attempt: Attempt, answer: Decided, *, consume: bool) -> Decision:
    """The decision that the store made. ``consume``: what it admitted was consumed."""
    limits = states_of(attempt.layout.policies, attempt.cost, answer.readings, consumes=consume and answer.admitted)
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
