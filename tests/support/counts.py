"""The usage counts in Redis that were not drained yet."""

from collections import Counter
from typing import Any, Protocol

from ratelimit_enforcer.store.keys import Keys


class HasCounts(Protocol):
    """A client of Redis, and the keys of a platform there."""

    redis: Any
    keys: Keys


def counted(store: HasCounts) -> Counter[tuple[str, str]]:
    """(kind, policy) → how many, of all clients."""
    totals: Counter[tuple[str, str]] = Counter()
    for key in store.keys.usage:
        for field, amount in store.redis.hgetall(key).items():
            _, kind, _, slug, _ = field.decode().split("\n")
            totals[kind, slug] += int(amount)
    return totals
