"""Packs the rules of one request into the bytes that ``decide.lua`` reads. Its codes are in ``parts/codes.lua`` too."""

import struct
from collections.abc import Sequence

from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.domain.usage import RequestKind

_HEAD = struct.Struct(">HQQcB")
_POLICY = struct.Struct(">BH")
_LIMIT = struct.Struct(">BIIQIQI")
ALGORITHM_CODES = {
    Algorithm.SLIDING_WINDOW: 1,
    Algorithm.TOKEN_BUCKET: 2,
    Algorithm.FIXED_WINDOW: 3,
    Algorithm.CALENDAR: 4,
}
MODE_CODES = {Mode.SHADOW: 0, Mode.ENFORCE: 1}

ALWAYS = 2**63
"""Later than any time that a store's clock can show, in microseconds since 1970."""

KINDS = {
    ClientStatus.ACTIVE: RequestKind.ADMITTED,
    ClientStatus.BLOCKED: RequestKind.BLOCKED,
    ClientStatus.EXEMPT: RequestKind.EXEMPT,
}
"""The kind under which an admitted request is counted."""


def pack_rules(
    policies: Sequence[EffectivePolicy],
    now: int,
    *,
    endpoint: str | None = None,
    status: ClientStatus = ClientStatus.ACTIVE,
    valid_from: int | None = None,
    valid_until: int | None = None,
) -> bytes:
    """Packs the limits of all policies, in order, with the calendar periods that contain ``now``.

    Times are in microseconds since 1970. ``endpoint`` None: an unregistered one; ``status`` decides how
    the request is counted.
    """
    slug = (endpoint or "").encode()
    until = ALWAYS if valid_until is None else valid_until
    head = _HEAD.pack(len(policies), valid_from or 0, until, KINDS[status].encode(), len(slug))
    limits = b"".join(_pack_policy(policy, now) for policy in policies)
    return head + slug + limits + b"".join(_pack_slug(policy) for policy in policies)


def _pack_slug(policy: EffectivePolicy) -> bytes:
    slug = policy.policy.slug.encode()
    return bytes((len(slug),)) + slug


def _pack_policy(policy: EffectivePolicy, now: int) -> bytes:
    head = _POLICY.pack(MODE_CODES[policy.mode], len(policy.limits))
    return head + b"".join(_pack_limit(limit, now) for limit in policy.limits)


def _pack_limit(limit: Limit, now: int) -> bytes:
    return _LIMIT.pack(ALGORITHM_CODES[limit.algorithm], limit.window_code, limit.quota, *_times(limit, now))


def _times(limit: Limit, now: int) -> tuple[int, int, int, int]:
    """The last four numbers of a packed limit: for a token bucket, the time to refill one token and the time to
    refill the whole burst, each as whole microseconds and a rest in 1 / quota of one; for a calendar limit, the
    end of its period."""
    if limit.algorithm is Algorithm.CALENDAR:
        return window_bounds(limit, now)[1], 0, 0, 0
    if limit.algorithm is not Algorithm.TOKEN_BUCKET or limit.quota == 0:
        return 0, 0, 0, 0
    return (*divmod(limit.window_us, limit.quota), *divmod(limit.capacity * limit.window_us, limit.quota))
