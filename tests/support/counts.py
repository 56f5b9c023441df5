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
    for (_, kind, slug), amount in counted_by_client(store).items():
        totals[kind, slug] += amount
    return totals


def counted_by_client(store: HasCounts) -> Counter[tuple[str, str, str]]:
    """(client, kind, policy) → count."""
    totals: Counter[tuple[str, str, str]] = Counter()
    for key in store.keys.usage:
        for field, amount in store.redis.hgetall(key).items():
            _, kind, _, slug, client = field.decode().split("\n")
            totals[client, kind, slug] += int(amount)
    return totals
