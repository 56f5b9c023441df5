"""Draining usage counts from Redis: they stay there, set aside, until they are in the database."""

import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limits.store.client import ControlClient, script_source
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.grants import grant_of_kind
from ratelimit_enforcer.domain.usage import THRESHOLDS, PolicyKind, RequestKind, SettlementKind
from ratelimit_enforcer.domain.validation import slug_problem
from ratelimit_enforcer.store import damage
from ratelimit_enforcer.store.errors import translating_redis_errors
from ratelimit_enforcer.store.keys import Keys, shard_of

ID_FIELD = b"id"
_MINUTE_PATTERN = re.compile(r"[0-9]{1,9}")
_AMOUNT_PATTERN = re.compile(rb"-?[0-9]{1,15}")
_KINDS_OF_SETTLEMENTS = frozenset(SettlementKind)
_KINDS_WITHOUT_POLICY = frozenset((*RequestKind, *(kind.upper() for kind in RequestKind), *SettlementKind))
_KINDS_OF_POLICIES = frozenset((*PolicyKind, *map(str, THRESHOLDS)))
SCAN_COUNT = 1_000


@dataclass(frozen=True, slots=True, order=True)
class CountKey:
    """A key under which requests are counted: ``minute`` since 1970, ``kind`` as in
    :class:`~ratelimit_enforcer.domain.usage.Count`. ``client`` is empty for callers beyond the limit of
    the shard."""

    minute: int
    kind: str
    endpoint: str
    policy: str
    client: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """The counts of one shard on the way to the database, under an id of their own. ``minute`` since 1970, by
    the clock of the store when the counts were set aside."""

    shard: int
    id: str
    minute: int


class UsageCounts:
    """Sets counts aside, reads them and removes them. All methods raise
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def add(self, counts: Mapping[CountKey, int]) -> None:
        """Adds counts as the decision script does, for requests that were decided elsewhere."""
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for key, amount in counts.items():
                pipeline.hincrby(self._keys.usage[shard_of(key.client)], _field(key), amount)
            pipeline.execute()

    def report_damage(self) -> None:
        """Adds the damaged data that this process found to the report in the store, which all processes share."""
        with translating_redis_errors():
            damage.report(self._redis.execute_command, self._keys.damaged)

    def damage_found(self) -> damage.DamageTotals | None:
        """Returns the damaged data that any process reported in the last days; None if there was none."""
        with translating_redis_errors():
            fields: Any = self._redis.hgetall(self._keys.damaged)
        return damage.parse_totals(fields)

    def set_aside(self) -> list[Parcel]:
        """Sets aside the counts of every shard. If an earlier parcel of a shard was not finished, that parcel
        is returned instead of a new one."""
        source = script_source("begin_drain")
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for keys in zip(self._keys.usage, self._keys.drains, self._keys.set_aside, strict=True):
                pipeline.eval(source, 3, *keys, secrets.token_hex(16))
            answers = pipeline.execute()
        if damaged := sum(set_aside for _, set_aside, _ in answers):
            damage.record(damage.COUNTS, damaged)
        found = enumerate(answers)
        return [Parcel(shard, name.decode(), minute) for shard, (name, _, minute) in found if name is not None]

    def read(self, parcel: Parcel) -> Mapping[CountKey, int]:
        """Returns the counts of a parcel; empty if it was finished meanwhile. Invalid fields are skipped and
        reported. A minute in the future, written while a clock was ahead, is treated as the present minute."""
        with translating_redis_errors():
            key = self._keys.drains[parcel.shard]
            # In steps: a single answer with all counts would block Redis.
            fields = dict(self._redis.hscan_iter(key, count=SCAN_COUNT))
        return _counts(fields, parcel.minute) if fields.get(ID_FIELD) == parcel.id.encode() else {}

    def finish(self, parcels: Sequence[Parcel]) -> None:
        """Removes parcels that are in the database."""
        source = script_source("finish_drain")
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for parcel in parcels:
                pipeline.eval(source, 1, self._keys.drains[parcel.shard], parcel.id)
            pipeline.execute()


def _field(key: CountKey) -> str:
    return "\n".join((str(key.minute), key.kind, key.endpoint, key.policy, key.client))


def _counts(fields: Mapping[bytes, bytes], now: int) -> Mapping[CountKey, int]:
    counts: Counter[CountKey] = Counter()
    damaged = 0
    for field, amount in fields.items():
        if field == ID_FIELD:
            continue
        key, count = _parse_key(field), _parse_amount(amount)
        if key is None or count is None or not _is_possible(key.kind, count):
            damaged += 1
        else:
            counts[replace(key, minute=key.minute if key.minute <= now + 1 else now)] += count
    if damaged:
        damage.record(damage.COUNTS, damaged)
    return counts


def _is_possible(kind: str, amount: int) -> bool:
    """Costs of settlements may be 0, and a cost beyond 1 each is negative where the cost is 0."""
    return (kind.isupper() and kind.isalpha()) or amount >= (0 if kind in _KINDS_OF_SETTLEMENTS else 1)


def _parse_key(field: bytes) -> CountKey | None:
    """Returns the key that a field stands for; None if the platform cannot have written the field."""
    try:
        minute, kind, endpoint, policy, client = field.decode().split("\n")
    except ValueError:
        return None
    kind_is_right = kind in _KINDS_OF_POLICIES or grant_of_kind(kind) if policy else kind in _KINDS_WITHOUT_POLICY
    slugs_are_right = all(not slug or slug_problem(slug) is None for slug in (endpoint, policy))
    client_is_right = not client or key_problem(client) is None
    is_right = _MINUTE_PATTERN.fullmatch(minute) and kind_is_right and slugs_are_right and client_is_right
    return CountKey(int(minute), kind, endpoint, policy, client) if is_right else None


def _parse_amount(text: bytes) -> int | None:
    return int(text) if _AMOUNT_PATTERN.fullmatch(text) else None
