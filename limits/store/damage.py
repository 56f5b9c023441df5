"""Data in the store that is not what the platform writes: what kinds there are, and who is told.

Whoever may write counters and counts may also write anything else into them, and a Redis may be shared.
So all of it is read as what strangers wrote. What is damaged is set aside or begun anew, so that it
concerns few requests; it is counted, and logged once a minute, without a client's key.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from limits.seldom import SeldomLog
from limits.store import observers

COUNTER, COUNTS, CLIENT, RULES, PROCESSES, RATE_LOG = KINDS = (
    "counter",
    "usage counts",
    "client records",
    "rules",
    "processes",
    "rate log",
)

KEPT = 7 * 86_400
"""Seconds after the last damaged entry for which the numbers are kept."""

_LAST = "last"
_waiting: Counter[str] = Counter()
"""What this process found and did not report yet; a race between two threads may lose a few."""

_seldom = SeldomLog(logging.getLogger(__name__))


def note(kind: str, entries: int = 1) -> None:
    """Tells of damaged entries of this kind."""
    _waiting[kind] += entries
    observers.observer.data_damaged(kind, entries)
    _seldom.warning(
        "store_data_damaged: %s in Redis are not what the platform writes. Who else may write there?", kind.capitalize()
    )


@dataclass(frozen=True, slots=True)
class Found:
    """How many damaged entries of each kind were found, and when the last one (seconds since 1970)."""

    kinds: Mapping[str, int]
    last: int


def report(execute: Callable[..., Any], key: str) -> None:
    """Adds what this process found to the numbers of all (``key``), which people read. Raises
    :class:`~limits.store.errors.StoreUnavailable`; a user who may not write there reports nothing."""
    while _waiting:
        kind, entries = _waiting.popitem()
        try:
            execute("HINCRBY", key, kind, entries)
            execute("HSET", key, _LAST, int(time.time()))
            execute("EXPIRE", key, KEPT)
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                execute("EXPIRE", key, 0)
            _seldom.warning("store_damage_not_reported: %s", str(error).split(" ", 1)[0])


def found(fields: Mapping[bytes, bytes]) -> Found | None:
    """What processes reported; None: nothing, or nothing that can be read."""
    numbers = {name.decode(errors="replace"): int(text) for name, text in fields.items() if text.isdigit()}
    kinds = {kind: numbers[kind] for kind in KINDS if kind in numbers}
    return Found(kinds, min(numbers.get(_LAST, 0), int(time.time()))) if kinds else None
