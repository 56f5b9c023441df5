"""Taking usage counts out of Redis: they stay there, set aside, until the database has them."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from limits.store import scripts
from limits.store.buckets import bucket_of
from limits.store.cluster_client import PatientClient
from limits.store.errors import outages_named
from limits.store.keys import Keys

ID_FIELD = b"id"
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
    """The counts of one bucket on their way to the database, under an id of their own."""

    bucket: int
    id: str


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

    def set_aside(self) -> list[Parcel]:
        """Sets aside what every bucket has counted. A parcel that an earlier call set aside and
        nobody finished comes back in place of a new one."""
        source = scripts.load("begin_drain").source
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for usage, drain in zip(self._keys.usage, self._keys.drains, strict=True):
                pipeline.eval(source, 2, usage, drain, secrets.token_hex(16))
            ids = pipeline.execute()
        return [Parcel(bucket, name.decode()) for bucket, name in enumerate(ids) if name is not None]

    def read(self, parcel: Parcel) -> Mapping[Counted, int]:
        """What a parcel holds; nothing where it was finished meanwhile."""
        with outages_named():
            key = self._keys.drains[parcel.bucket]
            # In steps: one answer with everything would keep Redis from its other work.
            fields = dict(self._redis.hscan_iter(key, count=FIELDS_AT_A_TIME))
        return dict(_counts(fields)) if fields.get(ID_FIELD) == parcel.id.encode() else {}

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


def _counts(fields: Mapping[bytes, bytes]) -> Iterator[tuple[Counted, int]]:
    for field, amount in fields.items():
        if field != ID_FIELD:
            minute, *words = field.decode().split("\n")
            yield Counted(int(minute), *words), int(amount)
