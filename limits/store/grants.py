"""What is used of clients' grants, in Redis, where checks consume it.

The publisher creates the two figures of each grant from the ledger, before or together with the record that names the
grant: where they are missing, a grant admits nothing. So after the store was emptied, no unit is admitted twice; and
they are never lowered, because the store is ahead of the ledger by what is not drained yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from limits.store.client import ControlClient, script_source
from ratelimit_enforcer.domain.grants import consumed_field, returned_field
from ratelimit_enforcer.store.errors import translating_redis_errors
from ratelimit_enforcer.store.keys import Keys

KEPT_AFTER_END = timedelta(days=2)
"""Retention of the figures after the end of the client's last grant: refunds may follow, and records are published
again."""


@dataclass(frozen=True, slots=True)
class GrantState:
    """What the ledger knows of the grants of one client, in the ``shard`` of the client's root. ``figures``: id of the
    grant → units consumed and returned. ``ends_at``: the latest end, in microseconds since 1970. ``earlier_shards``:
    those in which the client was before; what is stored there counts too."""

    client: str
    shard: int
    figures: Mapping[int, tuple[int, int]]
    ends_at: int
    earlier_shards: frozenset[int] = field(default=frozenset())

    @property
    def arguments(self) -> list[str | int]:
        """The arguments of the script, without those of earlier shards."""
        kept_until = self.ends_at // 1_000 + int(KEPT_AFTER_END.total_seconds()) * 1_000
        fields: list[str | int] = [kept_until]
        for grant, (consumed, returned) in self.figures.items():
            fields += (consumed_field(grant), consumed, returned_field(grant), returned)
        return fields

    @property
    def fields(self) -> list[str]:
        """The names of all fields."""
        return [name for grant in self.figures for name in (consumed_field(grant), returned_field(grant))]


class GrantWriter:
    """Writes and reads the use of grants. All methods raise
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def put(self, states: Sequence[GrantState]) -> int:
        """Raises each figure to that of the ledger, and to that of earlier shards. Returns how many were written."""
        if not states:
            return 0
        source = script_source("raise_grants")
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for state in states:
                pipeline.eval(source, 1, self._key(state.shard, state.client), *state.arguments)
            written = sum(pipeline.execute())
            for state in states:
                written += sum(self._move(state, shard, source) for shard in state.earlier_shards - {state.shard})
        return written

    def _move(self, state: GrantState, earlier: int, source: str) -> int:
        names = state.fields
        stored = self._redis.hmget(self._key(earlier, state.client), names)
        found = [each for each in zip(names, stored, strict=True) if each[1] is not None and each[1].isdigit()]
        arguments: list[Any] = [state.arguments[0], *(part for each in found for part in each)]
        return int(self._redis.eval(source, 1, self._key(state.shard, state.client), *arguments)) if found else 0

    def consumed(self, shard: int, client: str, grant: int) -> int:
        """The units of a grant that were consumed, drained or not; 0 where nothing is stored."""
        with translating_redis_errors():
            found = self._redis.hget(self._key(shard, client), consumed_field(grant))
        return int(found) if found and found.isdigit() else 0

    def erase(self, client: str, shards: Iterable[int]) -> None:
        """Removes what is stored of a client's grants."""
        with translating_redis_errors():
            for shard in set(shards):
                self._redis.unlink(self._key(shard, client))

    def _key(self, shard: int, client: str) -> str:
        return self._keys.grants(shard, client)
