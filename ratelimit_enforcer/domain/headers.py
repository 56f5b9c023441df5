"""The HTTP fields that inform a caller about the limits.

``RateLimit-Policy`` and ``RateLimit`` follow draft-ietf-httpapi-ratelimit-headers-11: Lists of
structured fields (RFC 9651) with one Item for each enforcing limit, named by a String. Slugs and
labels are plain ASCII without quotes, so a name needs no escaping inside that String.

Also the problem type of a denied request (draft-ietf-httpapi-ratelimit-headers-11, section 4.1).
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from math import ceil, inf
from typing import NamedTuple

from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import Limit

POLICY_FIELD = "RateLimit-Policy"
LIMIT_FIELD = "RateLimit"


class LegacyHeaders(StrEnum):
    """Whether the older ``X-RateLimit-*`` fields are sent."""

    OFF = "off"
    BESIDE = "beside"
    INSTEAD = "instead"


def closest_to_denying(decisions: Iterable[Decision]) -> Decision:
    """Selects, of several decisions about one request, the one whose headers are sent: the denial with the
    longest wait; without denials, the one with the least remaining, then with the longest reset."""
    return min(decisions, key=_room)


def _room(decision: Decision) -> tuple[float, ...]:
    leading, wait = decision.leading, decision.retry_after
    denied_for = 0.0 if decision.allowed else inf if wait is None else wait
    if leading is None:
        return decision.allowed, -denied_for, inf
    return decision.allowed, -denied_for, leading.remaining, -leading.reset_after


def rate_limit_headers(decision: Decision, legacy: LegacyHeaders = LegacyHeaders.OFF) -> dict[str, str]:
    """The fields that describe a decision: empty if no limit is enforced, or if the decision is degraded,
    because its figures are then not those of the store."""
    enforced = [state for state in decision.limits if state.is_enforced]
    if not enforced or decision.degraded:
        return {}
    standard = {} if legacy is LegacyHeaders.INSTEAD else _standard(decision, enforced)
    return standard if legacy is LegacyHeaders.OFF else standard | _legacy(decision)


def retry_after_header(decision: Decision) -> dict[str, str]:
    """``Retry-After`` (RFC 9110, section 10.2.3) for a denial that ends by waiting, else empty."""
    wait = decision.retry_after
    return {} if wait is None else {"Retry-After": str(whole_seconds(wait))}


def whole_seconds(wait: float) -> int:
    """A wait in seconds as ``Retry-After`` gives it: rounded up, and at least 1."""
    return max(1, ceil(wait))


def _standard(decision: Decision, enforced: Sequence[LimitState]) -> dict[str, str]:
    """``RateLimit-Policy`` lists every enforcing limit. ``RateLimit`` of a denial lists only the denying
    limits, so that no ``t`` ends after ``Retry-After`` (draft-11, sections 6 and 8.5)."""
    fields = {POLICY_FIELD: ", ".join(map(policy_item, enforced))}
    if decision.allowed:
        return fields | {LIMIT_FIELD: ", ".join(map(admitting_item, enforced))}
    denying = list(map(_denying_item, decision.denying))
    return fields | ({LIMIT_FIELD: ", ".join(denying)} if denying else {})


class _Constants(NamedTuple):
    """What the fields say of a limit, whoever asks."""

    policy_item: str
    """The item of ``RateLimit-Policy``."""
    beginning: str
    """The first part of the item of ``RateLimit``."""
    window: int | None
    """The seconds in which ``q`` becomes available; for a token bucket, the time to fill it."""
    capacity: int
    counts_over_time: bool


@lru_cache(maxsize=4096)
def _constants(name: str, limit: Limit) -> _Constants:
    window, counts_over_time = _window(limit), limit.algorithm is not Algorithm.CONCURRENCY
    item = f'"{name}";q={limit.capacity}' + ("" if window is None else f";w={window}")
    if not counts_over_time:
        item = f'"{name}";q={limit.quota};qu="concurrent-requests"'
    return _Constants(item, f'"{name}";r=', window, limit.capacity, counts_over_time)


def policy_item(state: LimitState) -> str:
    """The item of ``RateLimit-Policy``: ``"pro-search:60s";q=100;w=60``. A calendar limit has no window of a fixed
    length, and the quota of a concurrency limit is not one of requests in a window (``qu``: the unit of the quota)."""
    return _constants(state.name, state.limit).policy_item


def admitting_item(state: LimitState) -> str:
    """The item of ``RateLimit`` for a request that was admitted."""
    constants = _constants(state.name, state.limit)
    return _item(constants, state.remaining, _spread(state, constants))


def _denying_item(state: LimitState) -> str:
    return _item(_constants(state.name, state.limit), state.remaining, _wait(state))


def _item(constants: _Constants, remaining: int, seconds: int | None) -> str:
    """``"pro-search:60s";r=41;t=58``. Without ``t``, waiting does not help, or it is not known how long."""
    item = f"{constants.beginning}{remaining}"
    return item if seconds is None else f"{item};t={seconds}"


def _window(limit: Limit) -> int | None:
    if limit.algorithm is not Algorithm.TOKEN_BUCKET or limit.window is None or not limit.quota:
        return limit.window
    return -(-limit.capacity * limit.window // limit.quota)


def _spread(state: LimitState, constants: _Constants) -> int | None:
    """The seconds over which a client can spread the remaining units, and then continue at that pace: until
    the full capacity of the limit is available again, and no faster than ``q`` in ``w``; at most until the
    period ends. None for a concurrency limit, which does not count over time."""
    _, _, window, capacity, counts_over_time = constants
    if not counts_over_time:
        return None
    if window is None:
        return ceil(state.ends_after or 0)
    return max(ceil(state.reset_after), -(-state.remaining * window // capacity) if capacity else 0)


def _wait(state: LimitState) -> int | None:
    if state.retry_after is None or state.limit.algorithm is Algorithm.CONCURRENCY:
        return None
    return whole_seconds(state.retry_after)


def _legacy(decision: Decision) -> dict[str, str]:
    """The three older fields, which describe one limit only. ``Reset`` is in seconds from now, not a Unix
    time, so the caller's clock does not matter, as for ``t`` and ``Retry-After``."""
    leading = decision.leading
    if leading is None:
        return {}
    return {
        "X-RateLimit-Limit": str(leading.limit.capacity),
        "X-RateLimit-Remaining": str(leading.remaining),
        "X-RateLimit-Reset": str(ceil(leading.reset_after)),
    }


PROBLEM_JSON = "application/problem+json"
"""The media type of problem documents (RFC 9457)."""

QUOTA_EXCEEDED_TYPE = "https://iana.org/assignments/http-problem-types#quota-exceeded"
QUOTA_EXCEEDED_TITLE = "Request cannot be satisfied as assigned quota has been exceeded"


def violated_policies(decision: Decision) -> list[str]:
    """The member ``violated-policies``: the names of the denying limits."""
    return [state.name for state in decision.denying]
