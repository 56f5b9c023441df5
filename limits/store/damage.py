"""Data in the store that is not what the platform writes: what kinds there are.

Whoever may write counters and counts may also write anything else into them, and a Redis may be shared.
So all of it is read as what strangers wrote.
"""

COUNTER, COUNTS, CLIENT, RULES, PROCESSES, RATE_LOG = KINDS = (
    "counter",
    "usage counts",
    "client records",
    "rules",
    "processes",
    "rate log",
)
