"""Data in the store that is not what the platform writes: what kinds there are, and who is told.

Whoever may write counters and counts may also write anything else into them, and a Redis may be shared.
So all of it is read as what strangers wrote. What is damaged is set aside or begun anew, so that it
concerns few requests; it is counted, and logged once a minute, without a client's key.
"""

import logging

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

_seldom = SeldomLog(logging.getLogger(__name__))


def note(kind: str, entries: int = 1) -> None:
    """Tells of damaged entries of this kind."""
    observers.observer.data_damaged(kind, entries)
    _seldom.warning(
        "store_data_damaged: %s in Redis are not what the platform writes. Who else may write there?", kind.capitalize()
    )
