"""The published rulesets in Redis, written only by the publisher and the reconciler.

After writing, it checks whether a replica has the publication: writes that no replica has are lost with the
master.

On a Cluster no transaction spans all shards. The ruleset is written first, then the pointer, then the token
of each shard, in one pipeline for each master. If a publisher crashes in between, or a master is unavailable,
some clients are decided by the old rules until the rest follows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import AskError, WatchError

from limits.store.client import ClusterClient, ControlClient, script_source
from ratelimit_enforcer.domain.ruleset import Version, digest_of
from ratelimit_enforcer.store import damage
from ratelimit_enforcer.store.errors import (
    PartlyPublished,
    StoreDataError,
    StoreUnavailable,
    is_outage,
    is_wrong_type,
    translating_redis_errors,
)
from ratelimit_enforcer.store.keys import COMPLETE_FIELD, TOKEN_FIELD, Keys

REPLICA_WAIT_MS = 500
"""Milliseconds that a publisher waits for a replica."""


def replicas_lag(redis: ControlClient, keys: Keys) -> bool:
    """Whether a master has replicas of which none has confirmed all writes so far. Raises redis-py's errors."""
    if isinstance(redis, ClusterClient):
        masters = {redis.client_of(probe): probe for probe in keys.probes}
        return any(_replicas_of_master_lag(master, probe) for master, probe in masters.items())
    return _replicas_of_master_lag(redis, keys.probe)


def _replicas_of_master_lag(master: Redis, probe: str) -> bool:
    replication = master.info("replication")
    if replication["role"] != "master":
        return True  # A replica has taken its place since the slot map was read, perhaps without the last writes.
    if not int(replication["connected_slaves"]):
        return False
    return not _replica_confirms(master, probe)


def _replica_confirms(master: Redis, probe: str) -> bool:
    # WAIT covers only writes of the same connection; this write follows all earlier ones.
    pipeline = master.pipeline(transaction=False)
    pipeline.set(probe, 1, px=1000)
    pipeline.wait(1, REPLICA_WAIT_MS)
    try:
        return int(pipeline.execute()[1]) > 0
    except AskError:  # Also MOVED: the slot is moving, or another master has it.
        return False


def move_pointer(redis: ClusterClient, keys: Keys, current: Version | None, version: Version, data: bytes) -> bool:
    """Stores a ruleset and makes it the current one. Returns False if another publisher was faster. Raises
    redis-py's errors."""
    redis.set(keys.ruleset(str(version)), data)
    source = script_source("move_pointer")
    return bool(redis.eval(source, 1, keys.pointer, str(current or ""), str(version)))


def put_tokens(redis: ClusterClient, keys: Keys, version: Version) -> Version:
    """Puts a version in force on every shard. Returns the latest version that is in force on any shard.
    Raises :class:`PartlyPublished` if some shards could not be reached, and redis-py's errors."""
    source = script_source("put_token")
    pipeline = redis.pipeline()
    for shard in keys.shards:
        pipeline.eval(source, 1, shard, str(version))
    answers = pipeline.execute(raise_on_error=False)
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    for error in errors:
        if not is_outage(error):
            raise error
    if errors:
        raise PartlyPublished(
            f"Live for {len(answers) - len(errors)} of {len(answers)} shards: a master of the Cluster "
            "is unavailable. The other shards will go live automatically."
        ) from errors[0]
    return max((Version.parse(answer.decode()) for answer in answers), key=lambda found: found.sequence)


OLD_RULESET_SECONDS = 3600
"""Seconds for which a replaced ruleset stays readable."""

_NOT_REPLICATED = (
    "Live on the master, but not confirmed by a replica: if the master were lost now, older rules would apply again. "
    "The confirmation is retried automatically."
)

MayReplace = Callable[[Version], bool]
"""Says whether a new version may replace the given one; it may raise."""


@dataclass(frozen=True, slots=True)
class ShardState:
    """The state of one shard: its version token (None: none) and whether all of its clients are loaded.
    ``reachable`` is False if its master is unavailable; ``damaged``: the key is not a hash."""

    token: str | None
    complete: bool
    reachable: bool = True
    damaged: bool = False


class RulesetWriter:
    """The operations of the publisher and the reconciler on the rules in Redis."""

    def __init__(self, redis: ControlClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def pointer(self) -> Version | None:
        """Returns the version in force; None if there is none. Raises :class:`StoreUnavailable`."""
        with translating_redis_errors():
            token = self._redis.get(self._keys.pointer)
        return _version(token)

    def now(self) -> int:
        """Returns the time of the store that has the pointer, in microseconds since 1970. Raises
        :class:`StoreUnavailable`."""
        with translating_redis_errors():
            redis = self._redis
            master = redis.client_of(self._keys.pointer) if isinstance(redis, ClusterClient) else redis
            seconds, microseconds = master.time()
        return int(seconds) * 1_000_000 + int(microseconds)

    def shard_states(self) -> list[ShardState]:
        """Returns the states of all shards, in order. Raises :class:`StoreUnavailable` if none can be reached."""
        with translating_redis_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for shard in self._keys.shards:
                pipeline.hmget(shard, TOKEN_FIELD, COMPLETE_FIELD)
            states = [_shard_state(answer) for answer in pipeline.execute(raise_on_error=False)]
        if not any(state.reachable for state in states):
            raise StoreUnavailable("All masters of the store are unavailable.")
        return states

    def newest(self) -> Version | None:
        """Returns the version with the highest sequence in the pointer or any shard; None if there is none.
        Raises :class:`StoreUnavailable`."""
        named = [_version(state.token.encode()) for state in self.shard_states() if state.token]
        found = filter(None, [*named, self.pointer()])
        return max(found, key=lambda version: version.sequence, default=None)

    def drop_damaged(self) -> int:
        """Removes a pointer and shards of a wrong type, which cannot be written to. Their content is restored
        from the database. Returns the number of removed keys; raises :class:`StoreUnavailable`."""
        shards = [key for key, state in zip(self._keys.shards, self.shard_states(), strict=True) if state.damaged]
        with translating_redis_errors():
            if self._redis.type(self._keys.pointer) not in (b"string", b"none"):
                shards.append(self._keys.pointer)
            for key in shards:
                self._redis.unlink(key)
        if shards:
            damage.record(damage.RULES, len(shards))
        return len(shards)

    def publish(self, version: Version, data: bytes, may_replace: MayReplace) -> Version:
        """Puts a ruleset in force on every shard: at once, or on a Cluster master by master.

        ``may_replace`` is called if a version is already in force. If that version is of another epoch, all
        client records are removed too, since they belong to the other database. Returns the version in force
        afterwards. Raises :class:`StoreUnavailable`, any error of ``may_replace``, and
        :class:`PartlyPublished` if the ruleset is in force, but not on every shard or not on a replica.
        """
        with translating_redis_errors():
            while True:
                try:
                    live = self._publish(version, data, may_replace)
                except WatchError:
                    continue
                if live == version and replicas_lag(self._redis, self._keys):
                    raise PartlyPublished(_NOT_REPLICATED)
                return live

    def _publish(self, version: Version, data: bytes, may_replace: MayReplace) -> Version:
        if isinstance(self._redis, ClusterClient):
            return self._publish_in_steps(self._redis, version, data, may_replace)
        return self._publish_at_once(self._redis, version, data, may_replace)

    def _publish_in_steps(
        self, redis: ClusterClient, version: Version, data: bytes, may_replace: MayReplace
    ) -> Version:
        current = self.pointer()
        if current is not None and not may_replace(current):
            return current
        if not move_pointer(redis, self._keys, current, version, data):
            raise WatchError
        if current is not None and current != version:
            redis.expire(self._keys.ruleset(str(current)), OLD_RULESET_SECONDS)
        latest = put_tokens(redis, self._keys, version)
        if latest != version and may_replace(latest):
            raise PartlyPublished(f"Some clients still use version {latest.sequence}, published by another publisher.")
        if latest != version:
            raise PartlyPublished(f"Version {latest.sequence} is being published at the moment.")
        return version

    def _publish_at_once(self, redis: Redis, version: Version, data: bytes, may_replace: MayReplace) -> Version:
        with redis.pipeline(transaction=True) as pipeline:
            pipeline.watch(self._keys.pointer)
            token = pipeline.get(self._keys.pointer)
            current = _version(token)
            if current is not None and not may_replace(current):
                return current
            pipeline.multi()
            if current is not None and current.epoch != version.epoch:
                pipeline.delete(*self._keys.shards)
            if current is not None and current != version:
                pipeline.expire(self._keys.ruleset(str(current)), OLD_RULESET_SECONDS)
            self._put(pipeline, str(version), data)
            pipeline.execute()
        return version

    def _put(self, pipeline: Pipeline, token: str, data: bytes) -> None:
        pipeline.set(self._keys.ruleset(token), data)
        pipeline.set(self._keys.pointer, token)
        for shard in self._keys.shards:
            pipeline.hset(shard, TOKEN_FIELD, token)

    def is_intact(self, version: Version) -> bool:
        """Whether the ruleset of this version is stored byte for byte. Raises :class:`StoreUnavailable`."""
        try:
            with translating_redis_errors():
                data: Any = self._redis.get(self._keys.ruleset(str(version)))
        except StoreDataError:
            return False
        return data is not None and digest_of(data) == version.digest


def _version(token: Any) -> Version | None:
    """Returns the version; None if there is no token or the token is invalid."""
    try:
        return Version.parse(token.decode()) if token is not None else None
    except ValueError:
        return None


def _shard_state(answer: Any) -> ShardState:
    if isinstance(answer, Exception):
        if is_wrong_type(answer):
            return ShardState(None, complete=False, damaged=True)
        if not is_outage(answer):
            raise answer
        return ShardState(None, complete=False, reachable=False)
    token, complete = answer
    return ShardState(token.decode(errors="replace") if token else None, bool(complete))
