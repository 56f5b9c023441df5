"""Helpers for tests of usage: writing counts into the store, and reading the rows."""

from collections import Counter
from datetime import UTC, datetime

from django.db.models import Model

from limits.models import PolicyDenial, Settlement, Usage
from ratelimit_enforcer.domain.enums import Outcome
from ratelimit_enforcer.store.keys import shard_of
from tests.publishing.platforms import Platform

MINUTE = 29_700_000
AT = datetime.fromtimestamp(MINUTE * 60, UTC)
KINDS = {Outcome.ADMITTED: "a", Outcome.DENIED: "d", Outcome.BLOCKED: "b", Outcome.EXEMPT: "e"}


def count(
    platform: Platform,
    client: str,
    amount: int = 1,
    *,
    kind: str = "a",
    endpoint: str = "search",
    policy: str = "",
    minute: int = MINUTE,
) -> None:
    """Writes a count in the same way as the decision script."""
    field = "\n".join([str(minute), kind, endpoint, policy, client])
    platform.redis.hincrby(platform.keys.usage[shard_of(client)], field, amount)


def usage() -> dict[tuple[str, str, str], tuple[int, int]]:
    """(client, endpoint, outcome) → (requests, cost), over all minutes."""
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for row in Usage.objects.all():
        requests, cost = found.get((row.client_key, row.endpoint, row.outcome), (0, 0))
        found[row.client_key, row.endpoint, row.outcome] = (requests + row.requests, cost + row.cost)
    return found


def denials() -> Counter[tuple[str, str, str]]:
    """(client, policy, mode) → requests."""
    found: Counter[tuple[str, str, str]] = Counter()
    for row in PolicyDenial.objects.all():
        found[row.client_key, row.policy, row.mode] += row.requests
    return found


Figures = tuple[int, int, int, int, int, int]
"""Reserved cost, number of settlements, settled, refunded, debited and overdrawn cost."""


def count_settlements(
    platform: Platform, client: str, figures: Figures, *, endpoint: str = "search", minute: int = MINUTE
) -> None:
    """Writes what reservations and settlements count, in the same way as their scripts."""
    for kind, amount in zip("vntrxo", figures, strict=True):
        if amount:
            count(platform, client, amount, kind=kind, endpoint=endpoint, minute=minute)


def figures_of(row: Model) -> Figures:
    names = ("reserved", "settlements", "settled", "refunded", "debited", "overdrawn")
    reserved, settlements, settled, refunded, debited, overdrawn = (getattr(row, name) for name in names)
    return reserved, settlements, settled, refunded, debited, overdrawn


def settlements() -> dict[tuple[datetime, str, str], Figures]:
    """(minute, client, endpoint) → the figures."""
    return {(row.minute, row.client_key, row.endpoint): figures_of(row) for row in Settlement.objects.all()}
