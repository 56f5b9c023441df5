"""The production script on a real Redis, with a clock that the test controls."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from redis import Redis

from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OverQuota, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.engine.layouts import counter_of
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.answers import Decided, StoreAnswer
from ratelimit_enforcer.store.connections.server import ServerConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import COUNTS_PER_SHARD, Decider
from ratelimit_enforcer.store.keys import COMPLETE_FIELD, TOKEN_FIELD, Keys, shard_of
from ratelimit_enforcer.store.pending import Consumption, PendingEntries, entry_of, new_request_id, pack_new
from ratelimit_enforcer.store.requests import (
    NO_NAME,
    Settleable,
    SettleableKind,
    StoreRequest,
    Verb,
    settleable_arguments,
)
from ratelimit_enforcer.store.reservations import Reservations
from ratelimit_enforcer.store.scripts.packing import pack_rules
from ratelimit_enforcer.store.split_decider import REFUNDABLE_US

TOKEN = "epoch:1:digest"
TEST_CLOCK = "local clock = redis.call('MGET', 'clock:seconds', 'clock:rest')"
LONG_LIFETIME = "local lifetime = 1000000000"
LONG_PLACES = "local places_lifetime = 1000000000"
START = 1_800_000_000_000_000


def script_with_clock(*variants: str, name: str = "decide", expires: bool = False) -> scripts.Script:
    """The production script in these variants, which reads the time from two keys. Redis expires keys by the real
    clock, so counters get a lifetime longer than any test, unless ``expires``."""
    load = partial(scripts.load, name, *variants, clock=TEST_CLOCK)
    if expires:
        return load()
    return load(
        lifetime=LONG_LIFETIME,
        **({"places_lifetime": LONG_PLACES} if set(variants) & {scripts.RESERVE, scripts.CONSUME} else {}),
    )


def pending_scripts_with_clock() -> dict[str, scripts.Script]:
    """The scripts for pending entries, which read the time from two keys."""
    return {
        name: scripts.load(name, clock=TEST_CLOCK) for name in ("commit", "refund", "confirm", "overdue", "outcome")
    }


def policy(
    slug: str,
    *limits: Limit,
    mode: Mode = Mode.ENFORCE,
    partition: Partition = Partition.CLIENT,
    attributes: tuple[str, ...] = (),
    level: int = 0,
    over_quota: OverQuota = OverQuota.DENY,
) -> EffectivePolicy:
    rule = Policy(slug, limits, partition=partition, attributes=attributes, over_quota=over_quota)
    return EffectivePolicy(rule, mode, limits, level=level)


def sliding(quota: int, window: int) -> Limit:
    return Limit(quota, window)


def token_bucket(quota: int, window: int, burst: int | None = None) -> Limit:
    return Limit(quota, window, Algorithm.TOKEN_BUCKET, burst)


class Desk:
    """Calls the script for one namespace, in which every shard has ``TOKEN`` and is marked as complete."""

    def __init__(self, url: str, namespace: str, *, clock: bool = True) -> None:
        self.redis = Redis.from_url(url)
        self.keys = Keys(namespace)
        pool = Redis.from_url(url, protocol=2).connection_pool
        self.connections = ServerConnections(lambda: pool.connection_class(**pool.connection_kwargs), 8)
        self.decider = Decider(self.connections, self.keys)
        self.now = START
        self.consume_script = scripts.load("decide", scripts.CONSUME)
        self.pending = PendingEntries(self.connections, self.keys, COUNTS_PER_SHARD)
        self.reservations = Reservations(self.connections, self.keys, COUNTS_PER_SHARD)
        if clock:
            self.decider._script = script_with_clock()
            self.decider._tree_script = script_with_clock(scripts.TREE)
            self.decider._reserve_script = script_with_clock(scripts.RESERVE)
            self.decider._together_script = script_with_clock(scripts.TREE, name="together")
            self.decider._granted_script = script_with_clock(scripts.TREE, scripts.GRANTS)
            self.decider._granted_reserve_script = script_with_clock(scripts.RESERVE, scripts.GRANTS)
            self.decider._granted_together_script = script_with_clock(scripts.TREE, scripts.GRANTS, name="together")
            self.consume_script = script_with_clock(scripts.CONSUME)
            self.reservations._script = scripts.load("settle", scripts.GRANTS, clock=TEST_CLOCK, lifetime=LONG_LIFETIME)
            self.pending._scripts = pending_scripts_with_clock()
            self.at(START)
        for name in self.keys.shards:
            self.redis.hset(name, mapping={TOKEN_FIELD: TOKEN, COMPLETE_FIELD: "1"})

    def at(self, now: int) -> None:
        """Sets the clock (microseconds since 1970)."""
        self.now = now
        self.redis.mset({"clock:seconds": now // 1_000_000, "clock:rest": now % 1_000_000})

    def request(
        self,
        client: str,
        policies: Sequence[EffectivePolicy],
        cost: int = 1,
        *,
        token: str = TOKEN,
        revision: int | None = 0,
        attributes: Mapping[str, str] = NO_ATTRIBUTES,
        ancestors: Sequence[tuple[str, int]] = (),
        **rules: Any,
    ) -> StoreRequest:
        """``ancestors``: keys and revisions, from the parent up. ``rules``: further arguments of
        :func:`pack_rules`."""
        counters = tuple(counter_of(each) for each in policies)
        packed = pack_rules(policies, self.now, **rules)
        has_grants = any(counter.has_grants for counter in counters)
        request = StoreRequest(
            client, token, revision, counters, packed, cost, attributes=attributes, has_grants=has_grants
        )
        if not ancestors:
            return request
        keys = tuple(key for key, _ in ancestors)
        return request._replace(ancestors=tuple(ancestors), owners=(client, *keys), shard_key=keys[-1])

    def check(
        self, client: str, policies: Sequence[EffectivePolicy], cost: int = 1, *, consume: bool = True, **fields: Any
    ) -> Decided:
        answer = self.decide(self.request(client, policies, cost, **fields), consume=consume)
        assert isinstance(answer, Decided)
        return answer

    def decide(self, request: StoreRequest, *, consume: bool = True) -> StoreAnswer:
        return self.decider.decide(request, Deadline(10), Verb.COUNT if consume else Verb.PEEK)

    def consume(
        self, request: StoreRequest, *, timeout: float = 1.0, entry: bytes | None = None, home: int | None = None
    ) -> Consumption | None:
        """Consumes one part in its client's shard. It is pending for ``timeout`` seconds; None if it was denied.
        ``home``: the shard of the commit point, if that is another one."""
        shard, entry = self.shard(request.client), entry or entry_of(new_request_id(), 0)
        keys, client_arguments = self.decider._keys_and_arguments(request, shard)
        head = (
            request.token,
            Verb.CONSUME.value,
            pack_new(entry, timeout, shard if home is None else home, COUNTS_PER_SHARD),
        )
        first = len(self.keys.of_request[shard])
        counters = tuple(keys[first:])
        keys += self.keys.pending[shard]
        settleable = Settleable(SettleableKind.PART, NO_NAME, REFUNDABLE_US)
        request = request._replace(settleable=settleable)
        arguments = (*head, *client_arguments, request.rules, *settleable_arguments(request, keys))
        keys += self.decider._settleable_keys(request, shard, keys)
        reply, self.overdue = self.consume_script.run(self.connections, keys, arguments, Deadline(10))
        return Consumption(shard, entry, counters) if reply[1] else None

    def shard(self, client: str) -> int:
        return shard_of(client)

    def let_counters_expire(self) -> None:
        """By the clock of Redis, regardless of the test's clock."""
        self.decider._script = script_with_clock(expires=True)

    def delete_counters(self) -> None:
        """Deletes all counters, pending entries and records of commits."""
        self.redis.delete(*(self.redis.keys("*:[ngavpro]:*") or ["none"]))
        self.redis.delete(*(key for keys in self.keys.pending for key in keys), *self.keys.committed)

    def close(self) -> None:
        self.redis.close()
        self.connections.drop_connections()
