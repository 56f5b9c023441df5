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
    status, admitted = layout.status, answer.admitted
    return Decision(
        admitted and status is not ClientStatus.BLOCKED,
        STATUS_REASONS.get(status) or (None if admitted else denial_reason(limits)),
        attempt.record.key,
        layout.plan,
        layout.endpoint,
        attempt.cost,
        attempt.held.version.sequence,
        limits,
        degraded=not answer.complete or bool(attempt.record.problem),
        undisputed=False not in [reading[0] for reading in readings],
    )
