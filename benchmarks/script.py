"""The decision script compared with a minimal one: CPU time of Redis, and duration of the round trip."""

import itertools
from collections.abc import Callable

from redis import Redis

from benchmarks.counts import timed_with_redis
from benchmarks.floor import BURST, EMISSION, SOURCE
from benchmarks.measuring import Subject, interleaved, ratio, spread
from benchmarks.report import Part, Table
from ratelimit_enforcer.domain.enums import Algorithm, Mode
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.connections.server import ServerConnections, StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import Decider
from ratelimit_enforcer.store.keys import COMPLETE_FIELD, TOKEN_FIELD, Keys
from ratelimit_enforcer.store.requests import CounterRef, StoreRequest
from ratelimit_enforcer.store.scripts import Script
from ratelimit_enforcer.store.scripts.packing import pack_rules

TOKEN = "epoch:1:digest"
CLIENTS = 1_000
CALLS, TURNS = 500, 5
TIMEOUT = 10.0
FLOOR = "minimal script, 1 limit"

WINDOW = Limit(10**9, 60)
BUCKET = Limit(10**9, 60, Algorithm.TOKEN_BUCKET)
HOUR = Limit(10**9, 3_600)


def part(url: str, rounds: int) -> Part:
    """Measures with the Redis at this URL."""
    with Redis.from_url(url) as redis:
        series = interleaved({name: _subject(redis, call) for name, call in cases(redis).items()}, rounds, TURNS)
    least = series[FLOOR]
    rows = [
        (
            name,
            spread(each, "redis_us"),
            ratio(each, least, "redis_us"),
            spread(each, "us"),
            ratio(each, least, "us"),
        )
        for name, each in series.items()
    ]
    columns = ("one call", "Redis, µs", "× floor", "round trip, µs", "× floor")
    note = f"{TURNS} × {CALLS} calls a round, by our own connections, without the engine. Every `decide` counts too."
    return Part("The decision script", [Table("A call", columns, rows, note)])


def cases(redis: Redis) -> dict[str, Callable[[], object]]:
    """The floor, then the decision script with an increasing amount of work."""
    options = redis.connection_pool.connection_kwargs
    connections = ServerConnections(lambda: redis.connection_pool.connection_class(**options), 2)
    keys = Keys("bench")
    for bucket in keys.shards:
        redis.hset(bucket, mapping={TOKEN_FIELD: TOKEN, COMPLETE_FIELD: "1"})
    decider = Decider(connections, keys)
    return {
        FLOOR: _minimal(connections),
        "decide, no limit (exempt client)": _decide(decider),
        "decide, 1 token bucket": _decide(decider, _policy("one", BUCKET)),
        "decide, 1 sliding window": _decide(decider, _policy("one", WINDOW)),
        "decide, 3 limits in 2 policies": _decide(decider, _policy("one", WINDOW, BUCKET), _policy("two", HOUR)),
    }


def _subject(redis: Redis, call: Callable[[], object]) -> Subject:
    return lambda: timed_with_redis(redis, call, CALLS)


def _minimal(connections: StoreConnections) -> Callable[[], object]:
    script = Script(SOURCE)
    keys = itertools.cycle([f"bench:minimal:{number}" for number in range(CLIENTS)])
    return lambda: script.run(connections, [next(keys)], [EMISSION, BURST], Deadline(TIMEOUT))


def _policy(slug: str, *limits: Limit) -> EffectivePolicy:
    return EffectivePolicy(Policy(slug, limits), Mode.ENFORCE, limits)


def _decide(decider: Decider, *policies: EffectivePolicy) -> Callable[[], object]:
    counters = tuple(CounterRef(policy.policy.slug) for policy in policies)
    rules = pack_rules(policies, now=0)
    requests = itertools.cycle([StoreRequest(f"client {n}", TOKEN, 0, counters, rules, 1) for n in range(CLIENTS)])
    return lambda: decider.decide(next(requests), Deadline(TIMEOUT))
