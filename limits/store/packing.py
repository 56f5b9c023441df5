"""The rules of one request as the bytes that ``decide.lua`` reads."""

import struct
from collections.abc import Sequence

from limits.domain.limit import Limit
from limits.domain.selection import EffectivePolicy
from limits.domain.words import Algorithm, Mode

FIGURES = 5
"""Numbers that the script answers for each limit: whether it admits, and four figures."""

_POLICY = struct.Struct(">BB")
_LIMIT = struct.Struct(">BIIQIQI")
_CODES = {Algorithm.SLIDING_WINDOW: 1, Algorithm.TOKEN_BUCKET: 2}


def pack_rules(policies: Sequence[EffectivePolicy]) -> bytes:
    """Lays out the limits of all policies, in their order."""
    return b"".join(_pack_policy(policy) for policy in policies)


def _pack_policy(policy: EffectivePolicy) -> bytes:
    head = _POLICY.pack(policy.mode is Mode.ENFORCE, len(policy.limits))
    return head + b"".join(_pack_limit(limit) for limit in policy.limits)


def _pack_limit(limit: Limit) -> bytes:
    token, token_rest, burst, burst_rest = _refill_times(limit)
    return _LIMIT.pack(_CODES[limit.algorithm], limit.window or 0, limit.quota, token, token_rest, burst, burst_rest)


def _refill_times(limit: Limit) -> tuple[int, int, int, int]:
    """The time to refill one token and the whole burst, as whole microseconds and a rest in
    1 / quota of one."""
    if limit.algorithm is not Algorithm.TOKEN_BUCKET or limit.quota == 0:
        return 0, 0, 0, 0
    return (*divmod(limit.window_us, limit.quota), *divmod(limit.capacity * limit.window_us, limit.quota))
