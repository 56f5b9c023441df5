"""The framework's throttle class beside ours: how many of 1,000 requests a rate of 50 per minute admits.

In a process of its own (``python -m benchmarks.throttles URL``), because it needs Django's settings; prints JSON.
"""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from django.conf import settings

RATE, REQUESTS, THREADS, ROUNDS = "50/min", 1_000, 32, 5

Row = dict[str, object]


def throttle_rows(url: str) -> list[Row]:
    """Measures on the Redis of this address, which is emptied."""
    command = [sys.executable, "-m", "benchmarks.throttles", url]
    rows: list[Row] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return rows


def print_throttles(rows: list[Row]) -> None:
    print(
        f"\n| {RATE}, {REQUESTS:,} requests from {THREADS} threads | admitted | µs for a request, of a single thread |"
    )
    print("|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(map(str, row.values()))} |")


def main(url: str) -> None:
    """Prints the rows; medians of interleaved rounds."""
    settings.configure(
        CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url}},
        RATELIMIT_PLATFORM={"CHECK_DEADLINE": 10.0},
    )
    classes = _classes()
    rounds = [[(_admitted(throttle), _microseconds(throttle)) for throttle in classes] for _ in range(ROUNDS)]
    print(json.dumps([_row(classes[at], [each[at] for each in rounds]) for at in range(len(classes))]))


def _classes() -> list[type[Any]]:
    """Both limit all callers together, by one key."""
    from rest_framework.throttling import SimpleRateThrottle

    from limits.throttling import AtomicSimpleRateThrottle

    def of(base: type[Any], name: str) -> type[Any]:
        return type(name, (base,), {"rate": RATE, "get_cache_key": lambda self, request, view: f"{name}-{view}"})

    return [
        of(SimpleRateThrottle, "SimpleRateThrottle of DRF"),
        of(AtomicSimpleRateThrottle, "AtomicSimpleRateThrottle"),
    ]


def _admitted(throttle: type[Any]) -> int:
    _forget()
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(lambda _: throttle().allow_request(None, "all"), range(REQUESTS)))


def _microseconds(throttle: type[Any]) -> float:
    _forget()
    began = time.perf_counter()
    for _ in range(REQUESTS):
        throttle().allow_request(None, "one")
    return (time.perf_counter() - began) / REQUESTS * 1e6


def _forget() -> None:
    from django.core.cache import cache

    cache.clear()


def _row(throttle: type[Any], measured: list[tuple[int, float]]) -> Row:
    admitted = sorted(each[0] for each in measured)
    spread = f"{admitted[0]}" if admitted[0] == admitted[-1] else f"{admitted[0]} to {admitted[-1]}"
    return {"class": throttle.__name__, "admitted": spread, "us": round(median(each[1] for each in measured), 1)}


if __name__ == "__main__":
    main(sys.argv[1])
