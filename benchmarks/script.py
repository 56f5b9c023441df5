"""The decision script beside a minimal one: server time, and time of the round trip."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from limits.domain.limit import Limit
from limits.domain.ruleset import Policy
from limits.domain.selection import EffectivePolicy
from limits.domain.words import Algorithm, Mode
from limits.store.deadline import Deadline
from limits.store.decider import CounterOf, Decider, Question
from limits.store.hot import HotConnections, ServerConnections
from limits.store.keys import COMPLETE_FIELD, TOKEN_FIELD, Keys
from limits.store.packing import pack_rules
from limits.store.scripts import Script

TOKEN = "epoch:1:digest"
CLIENTS = 1_000
CALLS = 5_000
PATIENT = 10.0

WINDOW = Limit(10**9, 60)
BUCKET = Limit(10**9, 60, Algorithm.TOKEN_BUCKET)
HOUR = Limit(10**9, 3_600)


@dataclass(frozen=True)
class Measurement:
    """Microseconds for one call: in the server (Redis' own ``commandstats``), and for the caller."""

    server: float
    caller: float


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    call: Callable[[], object]


def cases(redis: Redis) -> list[Case]:
    """The floor first, then the decision script with ever more to do."""
    options = redis.connection_pool.connection_kwargs
    connections = ServerConnections(lambda: redis.connection_pool.connection_class(**options), 2)
    keys = Keys("bench")
    for bucket in keys.buckets:
        redis.hset(bucket, mapping={TOKEN_FIELD: TOKEN, COMPLETE_FIELD: "1"})
    decider = Decider(connections, keys)
    return [
        Case("minimal script, 1 limit", _minimal(connections)),
        Case("decide, no limit (exempt client)", _decide(decider)),
        Case("decide, 1 token bucket", _decide(decider, _policy("one", BUCKET))),
        Case("decide, 1 sliding window", _decide(decider, _policy("one", WINDOW))),
        Case(
            "decide, 3 limits in 2 policies",
            _decide(decider, _policy("one", WINDOW, BUCKET), _policy("two", HOUR)),
        ),
    ]


def measure(redis: Redis, case: Case) -> Measurement:
    """One round of one case."""
    case.call()
    redis.config_resetstat()
    began = time.perf_counter()
    for _ in range(CALLS):
        case.call()
    caller = (time.perf_counter() - began) / CALLS * 1e6
    server = float(redis.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])
    return Measurement(server, caller)


def _minimal(connections: HotConnections) -> Callable[[], object]:
    script = Script((Path(__file__).parent / "minimal.lua").read_text(encoding="utf-8"))
    keys = itertools.cycle([f"bench:minimal:{number}" for number in range(CLIENTS)])
    return lambda: script.run(connections, [next(keys)], [1, 10**12], Deadline(PATIENT))


def _policy(slug: str, *limits: Limit) -> EffectivePolicy:
    return EffectivePolicy(Policy(slug, limits), Mode.ENFORCE, limits)


def _decide(decider: Decider, *policies: EffectivePolicy) -> Callable[[], object]:
    counters = tuple(CounterOf(policy.policy.slug) for policy in policies)
    rules = pack_rules(policies, now=0)
    questions = itertools.cycle([Question(f"client {n}", TOKEN, 0, counters, rules, 1) for n in range(CLIENTS)])
    return lambda: decider.decide(next(questions), Deadline(PATIENT))
