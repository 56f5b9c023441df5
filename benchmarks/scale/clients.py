"""A thousand registered clients compared with a million: two platforms on one Redis, with interleaved measurements."""

import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from redis import Redis

from benchmarks.lines import Process
from benchmarks.measuring import Sample, Series, Spread, Subject, interleaved, ratio, spread
from benchmarks.report import Headline, Table, Target
from ratelimit_platform.embedded.postgres import database_url, start_postgres

FEW, MANY = 1_000, 1_000_000
CALLS = 1_000
COMMAND = (sys.executable, "-m", "benchmarks.scale.platform")
MET = 30_000
"""The number of clients that a process has seen when its memory is measured; it caches the last 10,000."""


@dataclass
class Platform:
    """A platform with this number of clients: a process that publishes and one that decides."""

    clients: int
    publisher: Process
    server: Process
    bytes_of_a_client: float = 0.0
    seconds_to_load: float = 0.0
    met: int = 0

    def fill(self, redis: Redis) -> None:
        """Registers the clients, and writes them to Redis."""
        self.publisher.call("fill", self.clients)
        before = redis.info("memory")["used_memory"]
        self.seconds_to_load = self.publisher.call("load")
        self.bytes_of_a_client = (redis.info("memory")["used_memory"] - before) / self.clients

    def measure(self) -> Sample:
        published = self.publisher.call("publish")
        first = self.server.call("check", 1)
        warm = self.server.call("check", CALLS)
        return {"publish": published, "first": first["us"] / 1_000, "us": warm["us"], "new": self._meet(CALLS)}

    def _meet(self, calls: int) -> float:
        """Microseconds of a check when the process sees each client for the first time, as long as there are
        enough clients."""
        sample = self.server.call("meet", calls, self.met % self.clients, min(calls, self.clients))
        self.met += calls
        return float(sample["us"])

    def memory(self) -> float:
        self._meet(MET)
        return float(self.server.call("memory"))


def measured(url: str, rounds: int) -> tuple[Table, list[Target], Headline]:
    """Measures with the Redis at this URL."""
    with Redis.from_url(url) as redis, _platforms(url) as platforms:
        for platform in platforms.values():
            platform.fill(redis)
        subjects: dict[str, Subject] = {name: platform.measure for name, platform in platforms.items()}
        series = interleaved(subjects, rounds)
        memory = {name: platform.memory() for name, platform in platforms.items()}
    return _table(platforms, series, memory), _targets(platforms, series, memory), _headline(platforms, series)


@contextmanager
def _platforms(redis_url: str) -> Iterator[dict[str, Platform]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ratelimit-bench-")))
        postgres = start_postgres(folder / "postgres")
        stack.callback(postgres.cleanup)
        platforms = {}
        for clients in (FEW, MANY):
            name = f"clients_{clients}"
            with psycopg.connect(database_url(postgres), autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"')
            variables = _environment(redis_url, database_url(postgres, name), name, folder)
            publisher, server = (Process(COMMAND, **variables) for _ in range(2))
            stack.callback(publisher.stop)
            stack.callback(server.stop)
            platforms[f"{clients:,} clients"] = Platform(clients, publisher, server)
        yield platforms


def _environment(redis_url: str, database: str, namespace: str, folder: Path) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "ratelimit_platform.settings",
        "REDIS_URL": redis_url,
        "DATABASE_URL": database,
        "NAMESPACE": namespace,
        "DATA_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "localhost",
        "CHECK_DEADLINE": "10",
    }


def _table(platforms: Mapping[str, Platform], series: Mapping[str, Series], memory: Mapping[str, float]) -> Table:
    rows = [
        (
            name,
            spread(series[name], "us"),
            spread(series[name], "new"),
            spread(series[name], "publish"),
            spread(series[name], "first"),
            memory[name],
            platform.bytes_of_a_client,
            platform.seconds_to_load,
        )
        for name, platform in platforms.items()
    ]
    columns = (
        "registered",
        "check, 3 limits, µs",
        "of ever other clients, µs",
        "from save to live, ms",
        "first check after it, ms",
        "memory of a worker, MB",
        "bytes in Redis of a client",
        "loading all, s",
    )
    note = (
        f"{CALLS:,} checks a round, in process: of a thousand clients in turn; then of clients that the process meets "
        "for the first time, as far as there are enough: their record has to be fetched, which takes a second round "
        "trip. “From save to live”: a quota is changed, recorded and published from PostgreSQL, as the admin "
        f"does. Memory: after {MET:,} checks of ever other clients, what is not shared with other processes."
    )
    return Table("Registered clients", columns, rows, note)


def _targets(
    platforms: Mapping[str, Platform], series: Mapping[str, Series], memory: Mapping[str, float]
) -> list[Target]:
    few, many = platforms
    compared = f"{MANY:,} clients compared with {FEW:,}"
    more = memory[many] - memory[few]
    return [
        Target(f"{compared}: time of a check ×", ratio(series[many], series[few], "us"), 1.2),
        Target(f"{compared}: from save to live ×", ratio(series[many], series[few], "publish"), 1.2),
        Target(f"{compared}: more memory of a worker, MB", Spread.of([more]), 50),
    ]


def _headline(platforms: Mapping[str, Platform], series: Mapping[str, Series]) -> Headline:
    few, many = platforms
    return Headline(
        f"a check with {many} registered",
        spread(series[many], "us"),
        f"with {few}",
        spread(series[few], "us"),
        "µs",
        ratio(series[many], series[few], "us"),
    )
