"""The published rulesets in Redis: read by every server, written by the publisher only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import WatchError

from limits.domain.ruleset import Ruleset, Version, digest_of
from limits.store.connection import HotConnections
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable, outages_named
from limits.store.keys import COMPLETE_FIELD, TOKEN_FIELD, Keys

KEEP_OLD_SECONDS = 3600
"""How long a ruleset stays readable after a newer one took its place."""


class RulesetReader:
    """What a server reads."""

    def __init__(self, connections: HotConnections, keys: Keys) -> None:
        self._connections = connections
        self._keys = keys

    def pointer(self, deadline: Deadline) -> str | None:
        """The token of the ruleset in force; None where there is none."""
        token = self._connections.execute("GET", self._keys.pointer, deadline=deadline)
        return token.decode() if token is not None else None

    def read(self, token: str, deadline: Deadline) -> tuple[Version, Ruleset]:
        """The ruleset of a token, its digest verified. Raises :class:`StoreUnavailable`."""
        data = self._connections.execute("GET", self._keys.ruleset(token), deadline=deadline)
        version = Version.parse(token)
        if data is None or digest_of(data) != version.digest:
            raise StoreUnavailable(f"The ruleset of version {version.sequence} is not whole in the store.")
        return version, Ruleset.from_bytes(data)


MayFollow = Callable[[Version], bool]
"""Says whether a new version may take the place of the one in force; it may raise."""


@dataclass(frozen=True, slots=True)
class BucketMarks:
    """What one bucket says of itself: its version token (None: none) and whether all of its
    clients are there."""

    token: str | None
    complete: bool


class RulesetWriter:
    """What the publisher and the reconciler do."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def pointer(self) -> Version | None:
        """The version in force; None where there is none. Raises :class:`StoreUnavailable`."""
        with outages_named():
            token = self._redis.get(self._keys.pointer)
        return _version(token)

    def marks(self) -> list[BucketMarks]:
        """The marks of all buckets, in their order. Raises :class:`StoreUnavailable`."""
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in self._keys.buckets:
                pipeline.hmget(bucket, TOKEN_FIELD, COMPLETE_FIELD)
            return [BucketMarks(token.decode() if token else None, bool(done)) for token, done in pipeline.execute()]

    def publish(self, version: Version, data: bytes, may_follow: MayFollow) -> Version:
        """Puts a ruleset in force on every bucket at once, in one transaction.

        ``may_follow`` is asked where a version is in force. Over another epoch's version all
        client records go too, since they are that database's. Returns the version in force
        afterwards. Raises :class:`StoreUnavailable`, and what ``may_follow`` raises.
        """
        with outages_named():
            while True:
                try:
                    return self._publish(version, data, may_follow)
                except WatchError:
                    continue

    def _publish(self, version: Version, data: bytes, may_follow: MayFollow) -> Version:
        with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.watch(self._keys.pointer)
            token = pipeline.get(self._keys.pointer)
            current = _version(token)
            if current is not None and not may_follow(current):
                return current
            pipeline.multi()
            if current is not None and current.epoch != version.epoch:
                pipeline.delete(*self._keys.buckets)
            if current is not None and current != version:
                pipeline.expire(self._keys.ruleset(str(current)), KEEP_OLD_SECONDS)
            self._put(pipeline, str(version), data)
            pipeline.execute()
        return version

    def _put(self, pipeline: Pipeline, token: str, data: bytes) -> None:
        pipeline.set(self._keys.ruleset(token), data)
        pipeline.set(self._keys.pointer, token)
        for bucket in self._keys.buckets:
            pipeline.hset(bucket, TOKEN_FIELD, token)

    def is_whole(self, version: Version) -> bool:
        """Whether the ruleset of this version is there, byte for byte. Raises
        :class:`StoreUnavailable`."""
        with outages_named():
            data: Any = self._redis.get(self._keys.ruleset(str(version)))
        return data is not None and digest_of(data) == version.digest


def _version(token: Any) -> Version | None:
    return Version.parse(token.decode()) if token is not None else None
