"""Bytes in Redis for one active client, according to ``MEMORY USAGE``."""

import itertools

from redis import Redis

from benchmarks.script import TOKEN
from ratelimit_enforcer.domain.enums import Algorithm, Mode
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.connections.server import ServerConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import Decider
from ratelimit_enforcer.store.keys import COMPLETE_FIELD, TOKEN_FIELD, Keys, shard_of
from ratelimit_enforcer.store.requests import CounterRef, StoreRequest
from ratelimit_enforcer.store.scripts.packing import pack_rules

QUOTAS = (10, 10**3, 10**6)
CLIENT = "client"
REQUESTS = 5_000
"""Sent in succession, so that both windows have their 64 exact runs. Distributed over the window it would be 130."""


def bytes_of_a_client(redis: Redis, quota: int, requests: int) -> int:
    """Bytes for three limits with this quota in one policy, after this number of requests."""
    limits = (Limit(quota, 60), Limit(quota, 3_600), Limit(quota, 60, Algorithm.TOKEN_BUCKET))
    slug = f"of-{quota}-{requests}"
    rules = pack_rules([EffectivePolicy(Policy(slug, limits), Mode.ENFORCE, limits)], now=0)
    options = redis.connection_pool.connection_kwargs
    keys = Keys("bench")
    for bucket in keys.shards:
        redis.hset(bucket, mapping={TOKEN_FIELD: TOKEN, COMPLETE_FIELD: "1"})
    decider = Decider(ServerConnections(lambda: redis.connection_pool.connection_class(**options), 1), keys)
    request = StoreRequest(CLIENT, TOKEN, 0, (CounterRef(slug),), rules, 1)
    for _ in itertools.repeat(None, requests):
        decider.decide(request, Deadline(10.0))
    return int(redis.memory_usage(keys.counter(shard_of(CLIENT), slug, CLIENT)) or 0)
