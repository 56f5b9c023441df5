"""Grants: units that a client may consume from one policy beyond the quota of the present period.

A grant is part of the client's published record. How much of it is consumed is stored beside the client's counters
(:meth:`ratelimit_enforcer.store.keys.Keys.grants`): two numbers that only ever increase, the units consumed and the
units returned. The publisher creates them from the ledger in PostgreSQL. Where they are absent, the grant admits
nothing, so that no unit is admitted twice after the store was emptied.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ratelimit_enforcer.domain.dates import is_between

MAX_AMOUNT = 10**9
MAX_PRIORITY = 100
MAX_ID = 2**32 - 1
"""Grants with a larger id are ignored by checks: scripts have 32 bits for it."""

_CONSUMED, _RETURNED = "g", "G"
_KIND = re.compile(r"([gG])([1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Grant:
    """``amount`` units (1 to :data:`MAX_AMOUNT`) for one client on one policy, from ``starts_at`` until ``ends_at``
    (microseconds since 1970, the end excluded). ``id``: that of the row in the database. ``priority``: 0 to
    :data:`MAX_PRIORITY`; of two grants, the one with the lower number is consumed first."""

    id: int
    policy: str
    amount: int
    starts_at: int
    ends_at: int
    priority: int = 0

    def is_active(self, now: int) -> bool:
        """Whether the grant can be consumed at ``now`` (microseconds since 1970)."""
        return is_between(now, self.starts_at, self.ends_at)

    @property
    def order(self) -> tuple[int, int, int]:
        """Smaller for the grant that is consumed earlier: by priority, then the soonest end, then the id."""
        return self.priority, self.ends_at, self.id


def in_order(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """These grants in the order in which they are consumed."""
    return tuple(sorted(grants, key=lambda grant: grant.order))


def grant_to_json(grant: Grant) -> list[Any]:
    """A grant as in the client's published record."""
    return [grant.id, grant.policy, grant.amount, grant.starts_at, grant.ends_at, grant.priority]


def grant_from_json(item: list[Any]) -> Grant:
    """Parses the list that :func:`grant_to_json` returned; further items are ignored. Raises ``TypeError`` or
    ``ValueError`` for anything else."""
    grant_id, policy, *numbers = item[:6]
    amount, starts_at, ends_at, priority = map(int, numbers)
    return Grant(int(grant_id), str(policy), amount, starts_at, ends_at, priority)


def consumed_field(grant: int) -> str:
    """The field of :meth:`~ratelimit_enforcer.store.keys.Keys.grants` with the units consumed of the grant with this
    id."""
    return f"{grant}c"


def returned_field(grant: int) -> str:
    """The field with the units of the grant that were returned after they had been consumed."""
    return f"{grant}r"


def consumed_kind(grant: int) -> str:
    """The kind under which consumed units of the grant with this id are counted in Redis, with the slug of its
    policy."""
    return f"{_CONSUMED}{grant}"


def returned_kind(grant: int) -> str:
    """The kind under which returned units of the grant are counted."""
    return f"{_RETURNED}{grant}"


def grant_of_kind(kind: str) -> tuple[int, bool] | None:
    """The id of the grant whose units are counted under this kind, and whether they were returned; None: another
    kind."""
    found = _KIND.fullmatch(kind)
    return (int(found[2]), found[1] == _RETURNED) if found else None
