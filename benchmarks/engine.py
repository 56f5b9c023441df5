"""The cost of a decision in this process, compared with redis-py's call of a minimal script."""

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from redis import Redis

from benchmarks.counts import commands_of, timed_with_redis
from benchmarks.floor import floor
from benchmarks.measuring import Sample, Series, Spread, Subject, interleaved, ratio, spread
from benchmarks.report import Headline, Part, Table, Target
from benchmarks.requests import CLIENTS, Prepared, configure, drf_request, no_requests
from benchmarks.rules import (
    ATTRIBUTES,
    ENDPOINTS,
    TIMEOUT,
    TREE,
    TREE_WITH_ATTRIBUTES,
    keys_of_trees,
    publish,
    ruleset,
    trees,
    tried,
)

CALLS, TURNS = 500, 5
SHARED_NAMESPACE = "rl-share"
BATCH = 100
FLOOR = "minimal script by redis-py, 1 limit"
SINGLE = "Engine.check, 3 limits"
THROTTLE = "PolicyThrottle, 3 limits"
BELOW = "Engine.check, 3 limits: of the client and two ancestors"
BELOW_WITH_ATTRIBUTES = f"{BELOW}, 2 attributes"
SHARED = f"{SINGLE}, while a change set is tried on 10 % of the clients"
SETTLED = "Engine: reserve and settle, 3 limits"
TOGETHER = f"Engine, {BATCH} checks together, 3 limits"

Call = Callable[[], object]


class Asking(NamedTuple):
    """A timed function, and the preparation before each measurement."""

    call: Call
    prepare: Call = no_requests


def part(url: str, rounds: int) -> Part:
    """Measures with the Redis at this URL."""
    configure(url, RATELIMIT_PLATFORM={"REDIS": url, "CHECK_DEADLINE": TIMEOUT})
    publish(url, ruleset(), clients=trees())
    with Redis.from_url(url) as redis:
        calls = _calls(url)
        series = interleaved(_subjects(redis, calls), rounds, TURNS)
        commands = {name: commands_of(redis, calls[name].call, CLIENTS) / CLIENTS for name in (SINGLE, THROTTLE)}
    return Part("In process", [_table(series)], _targets(series, commands), _headlines(series))


def _calls(url: str) -> dict[str, Asking]:
    singles = {f"Engine.check, {_limits(count)}": _check(slug) for count, slug in ENDPOINTS.items()}
    throttles = {f"PolicyThrottle, {_limits(count)}": _throttle(slug) for count, slug in ENDPOINTS.items()}
    below = {BELOW: _check_below(TREE), BELOW_WITH_ATTRIBUTES: _check_below(TREE_WITH_ATTRIBUTES, ATTRIBUTES)}
    shared = {SHARED: _check_with_share(url)}
    return {FLOOR: Asking(floor(url)), **singles, **shared, SETTLED: _reserve_and_settle(), **below, **throttles}


def _limits(count: int) -> str:
    return f"{count} limit" if count == 1 else f"{count} limits"


def _check(endpoint: str) -> Asking:
    from ratelimit_enforcer.engine import CheckRequest, get_engine

    engine = get_engine()
    requests = itertools.cycle([CheckRequest(f"user:{number}", endpoint) for number in range(CLIENTS)])
    return Asking(lambda: engine.check(next(requests)))


def _check_with_share(url: str) -> Asking:
    """With rules of a separate namespace."""
    from ratelimit_enforcer.engine import CheckRequest
    from ratelimit_enforcer.engine.factory import make_engine
    from ratelimit_enforcer.store.connections.factory import store_connections_of
    from ratelimit_enforcer.store.connections.redis_url import parse
    from ratelimit_enforcer.store.keys import Keys

    publish(url, tried(ruleset()), SHARED_NAMESPACE)
    keys = Keys(SHARED_NAMESPACE)
    engine = make_engine(store_connections_of(parse(url), 1, keys), keys, deadline=TIMEOUT, cache_size=CLIENTS)
    requests = itertools.cycle([CheckRequest(f"user:{number}", ENDPOINTS[3]) for number in range(CLIENTS)])
    return Asking(lambda: engine.check(next(requests)))


def _reserve_and_settle() -> Asking:
    """A reservation of 10, settled at 3."""
    from ratelimit_enforcer.domain.reservations import Reserve
    from ratelimit_enforcer.engine import CheckRequest, get_engine

    engine, reserve = get_engine(), Reserve()
    requests = itertools.cycle(
        [CheckRequest(f"user:{number}", ENDPOINTS[3], cost=10, reserve=reserve) for number in range(CLIENTS)]
    )

    def call() -> None:
        engine.settle(str(engine.check(next(requests)).reservation), 3)

    return Asking(call)


def _check_below(endpoint: str, attributes: Mapping[str, str] = MappingProxyType({})) -> Asking:
    from ratelimit_enforcer.engine import CheckRequest, get_engine

    engine = get_engine()
    requests = itertools.cycle([CheckRequest(key, endpoint, attributes=attributes) for key in keys_of_trees()])
    return Asking(lambda: engine.check(next(requests)))


def _throttle(endpoint: str) -> Asking:
    from ratelimit_enforcer.throttling import PolicyThrottle

    request, clients = Prepared(drf_request, f"/{endpoint}"), itertools.cycle(range(CLIENTS))
    view: Any = object()
    return Asking(lambda: PolicyThrottle().allow_request(request(next(clients)), view), request.renew)


def _subjects(redis: Redis, calls: Mapping[str, Asking]) -> dict[str, Subject]:
    subjects = {name: _subject(redis, call) for name, call in calls.items()}
    return {**subjects, TOGETHER: _batch(redis)}


def _subject(redis: Redis, asking: Asking) -> Subject:
    def measure() -> Sample:
        asking.prepare()
        return timed_with_redis(redis, asking.call, CALLS)

    return measure


def _batch(redis: Redis) -> Subject:
    """A batch; all figures are per decision."""
    from ratelimit_enforcer.engine import CheckRequest, get_engine

    engine = get_engine()
    requests = [CheckRequest(f"user:{number}", ENDPOINTS[3]) for number in range(CLIENTS)]
    batches = itertools.cycle([requests[at : at + BATCH] for at in range(0, CLIENTS, BATCH)])

    def measure() -> Sample:
        sample = timed_with_redis(redis, lambda: engine.check_in_order(next(batches)), CALLS // BATCH)
        return {figure: value / BATCH for figure, value in sample.items()}

    return measure


def _table(series: Mapping[str, Series]) -> Table:
    least = series[FLOOR]
    rows = [
        (
            name,
            spread(each, "us"),
            ratio(each, least, "us"),
            spread(each, "cpu_us"),
            spread(each, "redis_us"),
            ratio(each, least, "redis_us"),
        )
        for name, each in series.items()
    ]
    columns = ("one decision", "µs", "× floor", "CPU of the process, µs", "CPU of Redis, µs", "× floor's")
    note = (
        f"{TURNS} × {CALLS} calls a round, {CLIENTS:,} clients in turn, one thread; ours are counted as well. "
        "3 limits lie in 2 policies, 5 in 2; those of the client and two ancestors in one policy each. "
        "Reserving and settling takes three round trips; all its figures are for both. "
        "PolicyThrottle gets a prepared request of Django REST Framework, and finds endpoint and client. "
        "Median (least to most)."
    )
    return Table("A decision", columns, rows, note)


def _targets(series: Mapping[str, Series], commands: Mapping[str, float]) -> list[Target]:
    least, single, throttle = series[FLOOR], series[SINGLE], series[THROTTLE]
    exactly = [
        Target(f"{name}: commands that Redis got for a decision", Spread.of([count]), 1)
        for name, count in commands.items()
    ]
    return [
        Target(f"{SINGLE}, time × floor", ratio(single, least, "us"), 1.25),
        Target(f"{THROTTLE}, time × floor", ratio(throttle, least, "us"), 1.4),
        Target(f"{SINGLE}, CPU of Redis × floor's", ratio(single, least, "redis_us"), 2.5),
        *exactly,
        Target(f"{SHARED}, time × {SINGLE}", ratio(series[SHARED], single, "us"), 1.02),
        Target(f"{SETTLED}, time × {SINGLE}", ratio(series[SETTLED], single, "us"), 5),
        Target(f"{BELOW_WITH_ATTRIBUTES}, time × {SINGLE}", ratio(series[BELOW_WITH_ATTRIBUTES], single, "us"), 1.5),
        Target(
            f"in process, {BATCH} together: decisions per second × single checks",
            ratio(single, series[TOGETHER], "us"),
            15,
            at_most=False,
        ),
    ]


def _headlines(series: Mapping[str, Series]) -> list[Headline]:
    least = series[FLOOR]
    return [
        Headline(
            f"{name}, in process",
            spread(series[name], "us"),
            "redis-py's own `EVALSHA` of a minimal script",
            spread(least, "us"),
            "µs",
            ratio(series[name], least, "us"),
        )
        for name in (SINGLE, THROTTLE)
    ]
