"""All measurements about size."""

from redis import Redis

from benchmarks.memory import QUOTAS, REQUESTS, bytes_of_a_client
from benchmarks.report import Part, Table
from benchmarks.scale import clients, masters, routes


def part(url: str, rounds: int) -> Part:
    """Measures with the Redis at this URL, and with separate Clusters."""
    by_clients, targets, headline = clients.measured(url, rounds)
    tables = [by_clients, _counters(url), routes.table(rounds), masters.table(rounds)]
    return Part("Size", tables, targets, [headline])


def _counters(url: str) -> Table:
    with Redis.from_url(url) as redis:
        rows = [
            (f"{quota:,}", bytes_of_a_client(redis, quota, 1), bytes_of_a_client(redis, quota, REQUESTS))
            for quota in QUOTAS
        ]
    columns = ("quota of each limit", "after one request, bytes", f"after {REQUESTS:,} in a row, bytes")
    note = "Of one client under one policy of 3 limits: two sliding windows and a token bucket (`MEMORY USAGE`)."
    return Table("A counter in Redis", columns, rows, note)
