"""The outcome of a request, in one word."""

from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import Outcome, Reason

UNAVAILABLE = "unavailable"
"""The outcome of a request that was answered with 503."""

_OUTCOMES = {
    None: Outcome.ADMITTED,
    Reason.LIMIT: Outcome.DENIED,
    Reason.COST_EXCEEDS_QUOTA: Outcome.DENIED,
    Reason.TOO_MANY_RESERVATIONS: Outcome.DENIED,
    Reason.BLOCKED: Outcome.BLOCKED,
    Reason.EXEMPT: Outcome.EXEMPT,
}


def outcome_of(decision: Decision) -> str:
    """Returns the outcome of a request, or ``unavailable``."""
    if decision.reason is Reason.STORE_UNAVAILABLE:
        return Outcome.ADMITTED.value if decision.allowed else UNAVAILABLE
    return _OUTCOMES[decision.reason].value
