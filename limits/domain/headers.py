"""The HTTP fields that tell a caller about its limits.

``RateLimit-Policy`` and ``RateLimit`` follow draft-ietf-httpapi-ratelimit-headers-11: Lists of
structured fields (RFC 9651) with one Item for each enforcing limit, named by a String. Slugs and
labels are plain ASCII without quotes, so a name needs no escaping inside that String.
"""

from collections.abc import Iterable
from enum import StrEnum
from math import ceil, inf

from limits.domain.decision import Decision, LimitState


class LegacyHeaders(StrEnum):
    """Whether the older ``X-RateLimit-*`` fields are sent."""

    OFF = "off"
    BESIDE = "beside"
    INSTEAD = "instead"


def closest_to_denying(decisions: Iterable[Decision]) -> Decision:
    """The one of several decisions about a request whose headers a caller needs most: a denied one,
    with the longest wait; else the one with the least remaining, then with the longest reset."""
    return min(decisions, key=_room)


def _room(decision: Decision) -> tuple[float, ...]:
    leading, wait = decision.leading, decision.retry_after
    denied_for = 0.0 if decision.allowed else inf if wait is None else wait
    if leading is None:
        return decision.allowed, -denied_for, inf
    return decision.allowed, -denied_for, leading.remaining, -leading.reset_after


def rate_limit_headers(decision: Decision, legacy: LegacyHeaders = LegacyHeaders.OFF) -> dict[str, str]:
    """The fields that describe a decision: none where no limit is enforced, or where the decision
    is degraded and its figures are not those of the store."""
    leading = decision.leading
    if leading is None or decision.degraded:
        return {}
    if legacy is LegacyHeaders.INSTEAD:
        return _legacy(leading)
    standard = _standard([state for state in decision.limits if state.is_enforced])
    return standard | _legacy(leading) if legacy is LegacyHeaders.BESIDE else standard


def retry_after_header(decision: Decision) -> dict[str, str]:
    """``Retry-After`` (RFC 9110, section 10.2.3) for a denial that waiting can end, else nothing."""
    wait = decision.retry_after
    return {} if wait is None else {"Retry-After": str(max(1, ceil(wait)))}


def _standard(states: list[LimitState]) -> dict[str, str]:
    return {
        "RateLimit-Policy": ", ".join(map(_policy_item, states)),
        "RateLimit": ", ".join(map(_standing_item, states)),
    }


def _policy_item(state: LimitState) -> str:
    """``"pro-search:60s";q=100;w=60``. A calendar limit has no window of a fixed length."""
    window = "" if state.limit.window is None else f";w={state.limit.window}"
    return f'"{state.name}";q={state.limit.capacity}{window}'


def _standing_item(state: LimitState) -> str:
    """``"pro-search:60s";r=41;t=1``. Without ``t`` there is no capacity to wait for."""
    wait = "" if state.next_capacity_after is None else f";t={ceil(state.next_capacity_after)}"
    return f'"{state.name}";r={state.remaining}{wait}'


def _legacy(leading: LimitState) -> dict[str, str]:
    """The older triple, which can speak of one limit only. ``Reset`` is in seconds from now."""
    return {
        "X-RateLimit-Limit": str(leading.limit.capacity),
        "X-RateLimit-Remaining": str(leading.remaining),
        "X-RateLimit-Reset": str(ceil(leading.reset_after)),
    }
