"""The published rulesets in Redis: read by every server, written by the publisher only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError, WatchError

from limits.domain.ruleset import Ruleset, UnreadableRuleset, Version, digest_of
from limits.store import cluster_rules, damage, replicas, scripts
from limits.store.cluster_client import ClusterClient, PatientClient
from limits.store.connection import HotConnections
from limits.store.deadline import Deadline
from limits.store.errors import (
    PartlyPublished,
    RulesetUnreadable,
    StoreDataError,
    StoreUnavailable,
    is_outage,
    is_wrong_type,
    outages_named,
)
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
        token = self._get(self._keys.pointer, deadline)
        return None if token is None else str(_parsed(token.decode(errors="replace")))

    def read(self, token: str, deadline: Deadline) -> tuple[Version, Ruleset]:
        """The ruleset of a token, its digest verified. Raises :class:`StoreUnavailable`, and
        :class:`RulesetUnreadable` where this process cannot decide by it."""
        version = _parsed(token)
        data = self._get(self._keys.ruleset(token), deadline)
        if data is None or digest_of(data) != version.digest:
            raise StoreUnavailable(f"The ruleset of version {version.sequence} is not whole in the store.")
        try:
            ruleset = Ruleset.from_bytes(data)
            ruleset.require_known_timezones()
        except UnreadableRuleset as error:
            raise RulesetUnreadable(f"Version {version.sequence} of the rules cannot be read here. {error}") from error
        return version, ruleset

    def _get(self, key: str, deadline: Deadline) -> bytes | None:
        try:
            value: bytes | None = self._connections.execute("GET", key, key=key, deadline=deadline)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            raise _damaged() from error
        return value

    def move_token(self, bucket: int, found: str, named: str, deadline: Deadline) -> None:
        """Moves a bucket from the token that was found there to the one that the pointer names.
        Raises :class:`StoreUnavailable`."""
        keys = [self._keys.buckets[bucket]]
        try:
            scripts.load("move_token").run(self._connections, keys, [found, named], deadline)
        except ResponseError as error:
            if is_wrong_type(error):
                raise _damaged() from error
            # A user that may only decide leaves it to the reconciler.
            if "NOPERM" not in str(error):
                raise
            raise StoreUnavailable("A bucket is behind, and this user may not move it on.") from error


def _parsed(token: str) -> Version:
    """Raises :class:`StoreDataError` for what is no token."""
    try:
        return Version.parse(token)
    except ValueError as error:
        raise _damaged() from error


def _damaged() -> StoreDataError:
    damage.note(damage.RULES)
    return StoreDataError(damage.RULES, "The rules in Redis are damaged, and will be published again.")


_BEHIND = (
    "In force, but no replica has confirmed it: if the master of the store were lost now, older rules would come back. "
    "It is tried again."
)

MayFollow = Callable[[Version], bool]
"""Says whether a new version may take the place of the one in force; it may raise."""


@dataclass(frozen=True, slots=True)
class BucketMarks:
    """What one bucket says of itself: its version token (None: none) and whether all of its
    clients are there. Not ``reachable``: the master that holds it cannot be asked; ``damaged``: it is no
    hash."""

    token: str | None
    complete: bool
    reachable: bool = True
    damaged: bool = False


class RulesetWriter:
    """What the publisher and the reconciler do."""

    def __init__(self, redis: PatientClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def pointer(self) -> Version | None:
        """The version in force; None where there is none. Raises :class:`StoreUnavailable`."""
        with outages_named():
            token = self._redis.get(self._keys.pointer)
        return _version(token)

    def marks(self) -> list[BucketMarks]:
        """The marks of all buckets, in their order. Raises :class:`StoreUnavailable` where none
        can be reached."""
        with outages_named():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in self._keys.buckets:
                pipeline.hmget(bucket, TOKEN_FIELD, COMPLETE_FIELD)
            marks = [_marks(answer) for answer in pipeline.execute(raise_on_error=False)]
        if not any(mark.reachable for mark in marks):
            raise StoreUnavailable("No master of the store can be reached.")
        return marks

    def newest(self) -> Version | None:
        """The version with the highest number that the pointer or a bucket names; None: none does.
        Raises :class:`StoreUnavailable`."""
        named = [_version(mark.token.encode()) for mark in self.marks() if mark.token]
        found = filter(None, [*named, self.pointer()])
        return max(found, key=lambda version: version.sequence, default=None)

    def drop_damaged(self) -> int:
        """Removes pointer and buckets of a wrong type, which nothing can be written to. What they held
        comes from the database. Returns how many there were; raises :class:`StoreUnavailable`."""
        buckets = [key for key, mark in zip(self._keys.buckets, self.marks(), strict=True) if mark.damaged]
        with outages_named():
            if self._redis.type(self._keys.pointer) not in (b"string", b"none"):
                buckets.append(self._keys.pointer)
            for key in buckets:
                self._redis.unlink(key)
        if buckets:
            damage.note(damage.RULES, len(buckets))
        return len(buckets)

    def publish(self, version: Version, data: bytes, may_follow: MayFollow) -> Version:
        """Puts a ruleset in force on every bucket: at once, or on a Cluster master by master.

        ``may_follow`` is asked where a version is in force. Over another epoch's version all
        client records go too, since they are that database's. Returns the version in force
        afterwards. Raises :class:`StoreUnavailable` and what ``may_follow`` raises, and
        :class:`PartlyPublished` where it is in force, but not for everybody or not on a replica.
        """
        with outages_named():
            while True:
                try:
                    live = self._publish(version, data, may_follow)
                except WatchError:
                    continue
                if live == version and replicas.are_behind(self._redis, self._keys):
                    raise PartlyPublished(_BEHIND)
                return live

    def _publish(self, version: Version, data: bytes, may_follow: MayFollow) -> Version:
        if isinstance(self._redis, ClusterClient):
            return self._publish_in_steps(self._redis, version, data, may_follow)
        return self._publish_at_once(self._redis, version, data, may_follow)

    def _publish_in_steps(self, redis: ClusterClient, version: Version, data: bytes, may_follow: MayFollow) -> Version:
        current = self.pointer()
        if current is not None and not may_follow(current):
            return current
        if not cluster_rules.move_pointer(redis, self._keys, current, version, data):
            raise WatchError
        if current is not None and current != version:
            redis.expire(self._keys.ruleset(str(current)), KEEP_OLD_SECONDS)
        latest = cluster_rules.put_tokens(redis, self._keys, version)
        if latest != version and may_follow(latest):
            raise PartlyPublished(
                f"Some clients are still decided by version {latest.sequence}, which came from elsewhere."
            )
        if latest != version:
            raise PartlyPublished(f"Version {latest.sequence} is just being published.")
        return version

    def _publish_at_once(self, redis: Redis, version: Version, data: bytes, may_follow: MayFollow) -> Version:
        with redis.pipeline(transaction=True) as pipeline:
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
        try:
            with outages_named():
                data: Any = self._redis.get(self._keys.ruleset(str(version)))
        except StoreDataError:
            return False
        return data is not None and digest_of(data) == version.digest


def _version(token: Any) -> Version | None:
    """None where there is none, also where what is there is none."""
    try:
        return Version.parse(token.decode()) if token is not None else None
    except ValueError:
        return None


def _marks(answer: Any) -> BucketMarks:
    if isinstance(answer, Exception):
        if is_wrong_type(answer):
            return BucketMarks(None, complete=False, damaged=True)
        if not is_outage(answer):
            raise answer
        return BucketMarks(None, complete=False, reachable=False)
    token, complete = answer
    return BucketMarks(token.decode(errors="replace") if token else None, bool(complete))
