"""The floor: redis-py's own ``EVALSHA`` of a minimal script."""

import itertools
from collections.abc import Callable
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CLIENTS = 1_000
TIMEOUT = 10.0
EMISSION, BURST = 1, 10**12
"""Microseconds for one request and for the whole burst, so large that the script never denies."""

SOURCE = (Path(__file__).parent / "minimal.lua").read_text(encoding="utf-8")


def floor(url: str) -> Callable[[], object]:
    """Returns a function that calls the minimal script for a thousand clients in turn, with the platform's connection
    settings: a timeout, and no retries."""
    redis = Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0))
    digest = redis.script_load(SOURCE)
    keys = itertools.cycle([f"bench:minimal:{number}" for number in range(CLIENTS)])
    return lambda: redis.evalsha(digest, 1, next(keys), EMISSION, BURST)
