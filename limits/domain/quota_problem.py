"""The problem type of a denied request (draft-ietf-httpapi-ratelimit-headers-11, section 4.1)."""

from limits.domain.decision import Decision

QUOTA_EXCEEDED_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"
QUOTA_EXCEEDED_TITLE = "Request cannot be satisfied as assigned quota has been exceeded"


def violated_policies(decision: Decision) -> list[str]:
    """The member ``violated-policies``: the names of the limits that deny."""
    return [state.name for state in decision.denying]
