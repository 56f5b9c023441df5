"""The usage counts in Redis that have not been drained yet."""

from collections import Counter
from typing import Any, Protocol

from ratelimit_enforcer.store.keys import Keys


class HasCounts(Protocol):
    """An object with a Redis client and the keys of a platform."""

    redis: Any
    keys: Keys


def counted(store: HasCounts) -> Counter[tuple[str, str]]:
    """(kind, policy) → count, summed over all clients."""
    totals: Counter[tuple[str, str]] = Counter()
    for key in store.keys.usage:
        for field, amount in store.redis.hgetall(key).items():
            _, kind, _, slug, _ = field.decode().split("\n")
            totals[kind, slug] += int(amount)
    return totals
