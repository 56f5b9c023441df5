"""Packs the rules of one request into the bytes that ``decide.lua`` reads. Its codes are in ``parts/codes.lua`` too."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ratelimit_enforcer.domain.dates import FOREVER
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, Period
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.domain.usage import RequestKind

_HEAD = struct.Struct(">HQQcB")
_POLICY = struct.Struct(">BH")
_VALUES = struct.Struct(">II")
_LIMIT = struct.Struct(">BIIQIQI")
_GRANT = struct.Struct(">IIQ")
ALGORITHM_CODES = {
    Algorithm.SLIDING_WINDOW: 1,
    Algorithm.TOKEN_BUCKET: 2,
    Algorithm.FIXED_WINDOW: 3,
    Algorithm.CALENDAR: 4,
    Algorithm.CONCURRENCY: 5,
}
MODE_CODES = {Mode.SHADOW: 0, Mode.ENFORCE: 1}
SEPARATE_VALUES = 2
"""Added to the mode of a policy that counts values of attributes separately."""
ADMITS_OVER_QUOTA, COUNTS_OVER_QUOTA = 1, 2
"""Of a calendar limit: it admits beyond its quota; and the units beyond it are those that the policy counts."""
BEYOND, GRANT = 6, 7
"""In place of an algorithm, in records: not a limit, but what a calendar limit admits beyond its quota, and one of its
grants."""
LEVEL = 4
"""Added to the mode of an ancestor's policy, once for each level above the client."""

MAX_VALUES = 10_000
"""The number of values of its attributes that a policy counts separately in one window: for each client, or, if it
does not count clients separately, in all."""

_DAY = 86_400
PERIOD_SECONDS = {
    Period.HOUR: 3_600,
    Period.DAY: _DAY,
    Period.WEEK: 7 * _DAY,
    Period.MONTH: 31 * _DAY,
    Period.YEAR: 366 * _DAY,
}

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
    max_values: int = MAX_VALUES,
) -> bytes:
    """Packs the limits of all policies, in order, with the calendar periods that contain ``now``.

    Times are in microseconds since 1970. ``endpoint`` None: an unregistered one; ``status`` decides how
    the request is counted. ``max_values``: see :data:`MAX_VALUES`.
    """
    slug = (endpoint or "").encode()
    until = FOREVER if valid_until is None else valid_until
    head = _HEAD.pack(len(policies), valid_from or 0, until, KINDS[status].encode(), len(slug))
    limits = b"".join(_pack_policy(policy, now, max_values) for policy in policies)
    return head + slug + limits + b"".join(_pack_slug(policy) for policy in policies)


def _pack_slug(policy: EffectivePolicy) -> bytes:
    slug = policy.policy.slug.encode()
    return bytes((len(slug),)) + slug


def _pack_policy(policy: EffectivePolicy, now: int, max_values: int) -> bytes:
    mode = MODE_CODES[policy.mode] + LEVEL * policy.level
    if policy.policy.attributes:
        head = _POLICY.pack(mode + SEPARATE_VALUES, len(policy.limits)) + _VALUES.pack(max_values, _window(policy))
    else:
        head = _POLICY.pack(mode, len(policy.limits))
    return head + b"".join(_pack_limit(policy, limit, now) for limit in policy.limits)


def _window(policy: EffectivePolicy) -> int:
    """The longest window of a policy in seconds."""
    return max((limit.window or PERIOD_SECONDS[limit.period or Period.HOUR] for limit in policy.limits), default=1)


def _beyond(policy: EffectivePolicy, limit: Limit) -> int:
    """What a limit does with requests beyond its quota."""
    if not policy.admits_over_quota(limit):
        return 0
    return COUNTS_OVER_QUOTA if limit == policy.counting_limit else ADMITS_OVER_QUOTA


def _pack_limit(policy: EffectivePolicy, limit: Limit, now: int) -> bytes:
    grants = policy.grants_of(limit)
    times = _times(limit, now, _beyond(policy, limit), len(grants))
    packed = _LIMIT.pack(ALGORITHM_CODES[limit.algorithm], limit.window_code, limit.quota, *times)
    return packed + b"".join(_GRANT.pack(grant.id, grant.amount, grant.ends_at) for grant in grants)


def _times(limit: Limit, now: int, beyond: int, grants: int) -> tuple[int, int, int, int]:
    """The last four numbers of a packed limit: for a token bucket, the time to refill one token and the time to
    refill the whole burst, each as whole microseconds and a rest in 1 / quota of one; for a calendar limit, the
    end of its period, what it does with requests beyond its quota, and the number of its grants."""
    if limit.algorithm is Algorithm.CALENDAR:
        return window_bounds(limit, now)[1], beyond, grants, 0
    if limit.algorithm is not Algorithm.TOKEN_BUCKET or limit.quota == 0:
        return 0, 0, 0, 0
    return (*divmod(limit.window_us, limit.quota), *divmod(limit.capacity * limit.window_us, limit.quota))


class PackedRules(NamedTuple):
    """Packed rules, by policy: the head with the endpoint, the limits of each policy, how many limits each has, and the
    slugs."""

    head: bytes
    policies: tuple[bytes, ...]
    sizes: tuple[int, ...]
    slugs: tuple[bytes, ...]

    @property
    def is_blocked(self) -> bool:
        """Whether the client is blocked."""
        return _HEAD.unpack_from(self.head)[3] == KINDS[ClientStatus.BLOCKED].encode()

    def only(self, positions: Sequence[int]) -> bytes:
        """The packed rules of these policies."""
        head = len(positions).to_bytes(2, "big") + self.head[2:]
        chosen = [self.policies[at] for at in positions] + [self.slugs[at] for at in positions]
        return head + b"".join(chosen)


@lru_cache(maxsize=4_096)
def unpacked(rules: bytes) -> PackedRules:
    """Rules as :func:`pack_rules` packed them."""
    number, *_, length = _HEAD.unpack_from(rules)
    at = head_end = _HEAD.size + length
    policies, sizes = [], []
    for _ in range(number):
        mode, limits = _POLICY.unpack_from(rules, at)
        values = _VALUES.size if mode % LEVEL >= SEPARATE_VALUES else 0
        end = at + _POLICY.size + values
        for _ in range(limits):
            algorithm, *_, burst_time, _ = _LIMIT.unpack_from(rules, end)
            grants = burst_time if algorithm == ALGORITHM_CODES[Algorithm.CALENDAR] else 0
            end += _LIMIT.size + grants * _GRANT.size
        policies.append(rules[at:end])
        sizes.append(limits)
        at = end
    slugs = []
    for _ in range(number):
        end = at + 1 + rules[at]
        slugs.append(rules[at:end])
        at = end
    return PackedRules(rules[:head_end], tuple(policies), tuple(sizes), tuple(slugs))
