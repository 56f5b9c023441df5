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
"""Microseconds for a request, and of the whole burst: it never denies."""

SOURCE = (Path(__file__).parent / "minimal.lua").read_text(encoding="utf-8")


def floor(url: str) -> Callable[[], object]:
    """Calls the minimal script for one of a thousand clients after another, with the connection's
    settings that the platform uses: a time limit, and nothing is sent twice."""
    redis = Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0))
    digest = redis.script_load(SOURCE)
    keys = itertools.cycle([f"bench:minimal:{number}" for number in range(CLIENTS)])
    return lambda: redis.evalsha(digest, 1, next(keys), EMISSION, BURST)
