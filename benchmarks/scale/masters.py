"""A Redis Cluster with one master compared with three, and the share of the work of each master."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from benchmarks.measuring import Subject, interleaved, spread, timed
from benchmarks.report import Cell, Table
from benchmarks.rules import ENDPOINTS, TIMEOUT, publish, ruleset
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.factory import make_engine
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import Keys
from tests.support.topologies import ClusterTopology

MASTERS = (1, 3)
CLIENTS = CALLS = 2_000
NAMESPACE = "rl"


def table(rounds: int) -> Table:
    """Measures both Clusters interleaved."""
    with _cluster(MASTERS[0]) as one, _cluster(MASTERS[1]) as three:
        clusters = {f"{masters}": cluster for masters, cluster in zip(MASTERS, (one, three), strict=True)}
        engines = {name: _engine(cluster.url) for name, cluster in clusters.items()}
        for cluster in clusters.values():
            for master in cluster.servers:
                with master.client as redis:
                    redis.config_resetstat()
        series = interleaved({name: _subject(engine) for name, engine in engines.items()}, rounds)
        rows: list[tuple[Cell, ...]] = [
            (name, spread(series[name], "us"), _shares(cluster)) for name, cluster in clusters.items()
        ]
    note = f"{CALLS:,} checks a round, of as many clients, 3 limits, from one thread; all masters on this machine."
    return Table("Masters of a Cluster", ("masters", "check, µs", "commands of each"), rows, note)


@contextmanager
def _cluster(masters: int) -> Iterator[ClusterTopology]:
    with tempfile.TemporaryDirectory(prefix="ratelimit-bench-") as folder:
        cluster = ClusterTopology(Path(folder), masters=masters, replicas=0)
        try:
            yield cluster.start()
        finally:
            cluster.stop()


def _engine(url: str) -> Engine:
    publish(url, ruleset(), NAMESPACE)
    keys = Keys(NAMESPACE)
    return make_engine(store_connections_of(parse(url), 8, keys), keys, deadline=TIMEOUT, cache_size=CLIENTS)


def _subject(engine: Engine) -> Subject:
    requests = itertools.cycle([CheckRequest(f"client-{number}", ENDPOINTS[3]) for number in range(CLIENTS)])
    return lambda: timed(lambda: engine.check(next(requests)), CALLS)


def _shares(cluster: ClusterTopology) -> str:
    """``33.1 %, 33.9 %, 33.0 %``"""
    calls = []
    for master in cluster.servers:
        with master.client as redis:
            calls.append(_scripts_of(redis))
    return ", ".join(f"{each / sum(calls):.1%}".replace("%", " %") for each in calls)


def _scripts_of(redis: Redis) -> int:
    return int(redis.info("commandstats")["cmdstat_evalsha"]["calls"])
