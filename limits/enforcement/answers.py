"""From what the store said to a decision."""

from limits.domain.decision import Decision, LimitStates, denial_reason
from limits.domain.words import ClientStatus, Reason
from limits.enforcement.attempts import Attempt
from limits.store.decider import Decided

STATUS_REASONS = {ClientStatus.BLOCKED: Reason.BLOCKED, ClientStatus.EXEMPT: Reason.EXEMPT}


def decision_of(attempt: Attempt, answer: Decided, *, consume: bool) -> Decision:
    """The decision that the store made. ``consume``: what it admitted was consumed."""
    layout, readings = attempt.layout, answer.readings
    limits = LimitStates(layout.policies, attempt.cost, readings, consumes=consume and answer.admitted)
    return Decision(
        allowed=answer.admitted and layout.status is not ClientStatus.BLOCKED,
        reason=STATUS_REASONS.get(layout.status) or (None if answer.admitted else denial_reason(limits)),
        client=attempt.record.key,
        plan=layout.plan,
        endpoint=layout.endpoint,
        cost=attempt.cost,
        ruleset=attempt.held.version.sequence,
        limits=limits,
        degraded=not answer.complete,
        undisputed=False not in [reading[0] for reading in readings],
    )
