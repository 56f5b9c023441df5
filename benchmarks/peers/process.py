"""One throttle in a separate process: ``python -m benchmarks.peers.process NAME URL QUOTA``.

Reads commands from lines: ``run CALLS`` measures calls for a thousand clients in turn; ``crowd CALLS`` measures
as many calls from eight concurrent threads; ``admitted FIRST`` counts how many of a client's thousand requests from
32 concurrent threads are admitted.
"""

import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.lines import serve
from benchmarks.measuring import Sample, timed
from benchmarks.peers.subjects import SUBJECTS, Allow, Make
from benchmarks.requests import CLIENTS

THREADS, REQUESTS = 32, 1_000
CROWD = 8
"""Threads of a busy process."""


def main(name: str, url: str, quota: int) -> None:
    allow, renew = _make(name)(url, quota)
    clients = itertools.cycle(range(CLIENTS))

    def run(calls: int) -> Sample:
        renew()
        return timed(lambda: allow(next(clients)), calls)

    def crowd(calls: int) -> Sample:
        renew()
        return {"crowd_us": _crowd_us(allow, calls)}

    serve({"run": run, "crowd": crowd, "admitted": lambda client: _admitted(allow, client)})


def _make(name: str) -> Make:
    if name in SUBJECTS:
        return SUBJECTS[name]
    from benchmarks.peers import ours

    return ours.SUBJECTS[name]


def _crowd_us(allow: Allow, calls: int) -> float:
    """Microseconds between two answers of the process."""
    parts = [[number % CLIENTS for number in range(first, calls, CROWD)] for first in range(CROWD)]
    with ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(allow, range(CROWD)))
        began = time.perf_counter()
        list(pool.map(lambda clients: list(map(allow, clients)), parts))
        return (time.perf_counter() - began) / calls * 1e6


def _admitted(allow: Allow, client: int) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(allow, [client] * REQUESTS))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
