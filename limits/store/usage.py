"""Taking usage counts out of Redis: they stay there, set aside, until the database has them."""

import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limits.domain.client import key_problem
from limits.domain.counting import MARKS
from limits.domain.validation import slug_problem
from limits.store import damage, scripts
from limits.store.buckets import bucket_of
from limits.store.cluster_client import PatientClient
from limits.store.errors import outages_named
from limits.store.keys import Keys

ID_FIELD = b"id"
_MINUTE = re.compile(r"[0-9]{1,9}")
_AMOUNT = re.compile(rb"-?[0-9]{1,15}")
_KINDS_OF_REQUESTS = frozenset("adbeADBE")
_KINDS_OF_POLICIES = frozenset(("d", "s", *map(str, MARKS)))
FIELDS_AT_A_TIME = 1_000


@dataclass(frozen=True, slots=True, order=True)
class Counted:
    """What was counted together: ``minute`` since 1970, ``kind`` as ``decide.lua`` explains it.
    ``client`` is empty for those that the bucket had no room for."""

    minute: int
    kind: str
    endpoint: str
    policy: str
    client: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """The counts of one bucket on their way to the database, under an id of their own. ``minute`` since
    1970: that of the server which holds them, when they were set aside."""

    bucket: int
    id: str
    minute: int


class UsageCounts:
    """Sets counts aside, reads them and forgets them. All methods raise
    :class:`~limits.store.errors.StoreUnavailable`."""

    def __init__(self, redis: PatientClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def add(self, counts: Mapping[Counted, int]) -> None:
        """Counts as the decision script does, for requests that were decided elsewhere."""
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for counted, amount in counts.items():
                pipeline.hincrby(self._keys.usage[bucket_of(counted.client)], _field(counted), amount)
            pipeline.execute()

    def report_damage(self) -> None:
        """Tells people what damaged data this process met."""
        with outages_named():
            damage.report(self._redis.execute_command, self._keys.damaged)

    def damage_found(self) -> damage.Found | None:
        """What all processes reported of damaged data in the last days."""
        with outages_named():
            fields: Any = self._redis.hgetall(self._keys.damaged)
        return damage.found(fields)

    def set_aside(self) -> list[Parcel]:
        """Sets aside what every bucket has counted. A parcel that an earlier call set aside and
        nobody finished comes back in place of a new one."""
        source = scripts.load("begin_drain").source
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for keys in zip(self._keys.usage, self._keys.drains, self._keys.set_aside, strict=True):
                pipeline.eval(source, 3, *keys, secrets.token_hex(16))
            answers = pipeline.execute()
        if damaged := sum(set_aside for _, set_aside, _ in answers):
            damage.note(damage.COUNTS, damaged)
        found = enumerate(answers)
        return [Parcel(bucket, name.decode(), minute) for bucket, (name, _, minute) in found if name is not None]

    def read(self, parcel: Parcel) -> Mapping[Counted, int]:
        """What a parcel holds; nothing where it was finished meanwhile. What is no count is left out, and
        told of. A minute of the future, which a clock that was ahead wrote, is the present one."""
        with outages_named():
            key = self._keys.drains[parcel.bucket]
            # In steps: one answer with everything would keep Redis from its other work.
            fields = dict(self._redis.hscan_iter(key, count=FIELDS_AT_A_TIME))
        return _counts(fields, parcel.minute) if fields.get(ID_FIELD) == parcel.id.encode() else {}

    def finish(self, parcels: Sequence[Parcel]) -> None:
        """Forgets parcels that the database has."""
        source = scripts.load("finish_drain").source
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for parcel in parcels:
                pipeline.eval(source, 1, self._keys.drains[parcel.bucket], parcel.id)
            pipeline.execute()


def _field(counted: Counted) -> str:
    return "\n".join((str(counted.minute), counted.kind, counted.endpoint, counted.policy, counted.client))


def _counts(fields: Mapping[bytes, bytes], now: int) -> Mapping[Counted, int]:
    counts: Counter[Counted] = Counter()
    damaged = 0
    for field, amount in fields.items():
        if field == ID_FIELD:
            continue
        counted, number = _counted(field), _amount(amount)
        if counted is None or number is None or (number < 1 and not counted.kind.isupper()):
            damaged += 1
        else:
            counts[replace(counted, minute=counted.minute if counted.minute <= now + 1 else now)] += number
    if damaged:
        damage.note(damage.COUNTS, damaged)
    return counts


def _counted(field: bytes) -> Counted | None:
    """What a field counts; None: it is none that the platform writes."""
    try:
        minute, kind, endpoint, policy, client = field.decode().split("\n")
    except ValueError:
        return None
    kinds = _KINDS_OF_POLICIES if policy else _KINDS_OF_REQUESTS
    slugs_are_right = all(not slug or slug_problem(slug) is None for slug in (endpoint, policy))
    client_is_right = not client or key_problem(client) is None
    is_right = _MINUTE.fullmatch(minute) and kind in kinds and slugs_are_right and client_is_right
    return Counted(int(minute), kind, endpoint, policy, client) if is_right else None


def _amount(text: bytes) -> int | None:
    return int(text) if _AMOUNT.fullmatch(text) else None
