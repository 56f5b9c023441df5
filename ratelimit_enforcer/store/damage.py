"""Damaged data in the store, meaning data that the platform did not write: its kinds, and reports of it.

A client with write access to counters and counts may write anything, and a Redis may be shared. So all
data there is read as untrusted input. Damaged data is set aside or reset, so that it affects few requests;
it is counted, and logged once a minute, without a client's key.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.store import observers

COUNTER, COUNTS, CLIENT, RULES, PROCESSES, RATE_LOG, RESERVATION = KINDS = (
    "counter",
    "usage counts",
    "client records",
    "rules",
    "processes",
    "rate log",
    "reservations",
)

RETENTION_SECONDS = 7 * 86_400
"""Seconds after the last damaged entry until the numbers expire."""

_LAST = "last"
_unreported: Counter[str] = Counter()
"""Damaged entries that this process found and has not reported yet, by kind; a race between two threads may lose
a few."""

_limited_log = RateLimitedLog(logging.getLogger(__name__))


def record(kind: str, entries: int = 1) -> None:
    """Records damaged entries of this kind, for :func:`report`, the observer and the log."""
    _unreported[kind] += entries
    observers.observer.data_damaged(kind, entries)
    _limited_log.warning(
        "store_data_damaged: %s in Redis were not written by the platform. Check who else can write to this Redis.",
        kind.capitalize(),
    )


@dataclass(frozen=True, slots=True)
class DamageTotals:
    """The number of damaged entries of each kind, and the time of the last one (seconds since 1970)."""

    kinds: Mapping[str, int]
    last: int


def report(execute: Callable[..., Any], key: str) -> None:
    """Adds this process's findings to the totals of all processes, under ``key``. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`; without write access, nothing is reported."""
    while _unreported:
        kind, entries = _unreported.popitem()
        try:
            execute("HINCRBY", key, kind, entries)
            execute("HSET", key, _LAST, int(time.time()))
            execute("EXPIRE", key, RETENTION_SECONDS)
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                execute("EXPIRE", key, 0)
            _limited_log.warning("store_damage_not_reported: %s", str(error).split(" ", 1)[0])


def parse_totals(fields: Mapping[bytes, bytes]) -> DamageTotals | None:
    """The totals that processes reported; None if there are none, or none that can be read."""
    numbers = {name.decode(errors="replace"): int(text) for name, text in fields.items() if text.isdigit()}
    kinds = {kind: numbers[kind] for kind in KINDS if kind in numbers}
    return DamageTotals(kinds, min(numbers.get(_LAST, 0), int(time.time()))) if kinds else None
