"""The rules of one request as the bytes that ``decide.lua`` reads."""

import struct
from collections.abc import Sequence

from limits.domain.fixed_window import span_around
from limits.domain.limit import Limit
from limits.domain.selection import EffectivePolicy
from limits.domain.words import Algorithm, ClientStatus, Mode

_HEAD = struct.Struct(">HQQcB")
_POLICY = struct.Struct(">BH")
_LIMIT = struct.Struct(">BIIQIQI")
_CODES = {
    Algorithm.SLIDING_WINDOW: 1,
    Algorithm.TOKEN_BUCKET: 2,
    Algorithm.FIXED_WINDOW: 3,
    Algorithm.CALENDAR: 4,
}


ALWAYS = 2**63
"""After every time that a store's clock can show, in microseconds since 1970."""

COUNTED_AS = {ClientStatus.ACTIVE: b"a", ClientStatus.BLOCKED: b"b", ClientStatus.EXEMPT: b"e"}


def pack_rules(
    policies: Sequence[EffectivePolicy],
    now: int,
    *,
    endpoint: str | None = None,
    status: ClientStatus = ClientStatus.ACTIVE,
    valid_from: int | None = None,
    valid_until: int | None = None,
) -> bytes:
    """Lays out the limits of all policies, in their order, with the calendar periods around ``now``.

    Times are microseconds since 1970. ``endpoint`` None: one that nobody registered; ``status``
    decides how the request is counted.
    """
    slug = (endpoint or "").encode()
    until = ALWAYS if valid_until is None else valid_until
    head = _HEAD.pack(len(policies), valid_from or 0, until, COUNTED_AS[status], len(slug))
    limits = b"".join(_pack_policy(policy, now) for policy in policies)
    return head + slug + limits + b"".join(_pack_slug(policy) for policy in policies)


def _pack_slug(policy: EffectivePolicy) -> bytes:
    slug = policy.policy.slug.encode()
    return bytes((len(slug),)) + slug


def _pack_policy(policy: EffectivePolicy, now: int) -> bytes:
    head = _POLICY.pack(policy.mode is Mode.ENFORCE, len(policy.limits))
    return head + b"".join(_pack_limit(limit, now) for limit in policy.limits)


def _pack_limit(limit: Limit, now: int) -> bytes:
    return _LIMIT.pack(_CODES[limit.algorithm], limit.span_code, limit.quota, *_times(limit, now))


def _times(limit: Limit, now: int) -> tuple[int, int, int, int]:
    """For a bucket the time to refill one token and the whole burst, each as whole microseconds
    and a rest in 1 / quota of one; for a calendar limit the end of its period."""
    if limit.algorithm is Algorithm.CALENDAR:
        return span_around(limit, now)[1], 0, 0, 0
    if limit.algorithm is not Algorithm.TOKEN_BUCKET or limit.quota == 0:
        return 0, 0, 0, 0
    return (*divmod(limit.window_us, limit.quota), *divmod(limit.capacity * limit.window_us, limit.quota))
