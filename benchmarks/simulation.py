"""A simulation over generated rows of usage by minute: its time and memory.

``make bench PART=simulation`` measures three million rows, ``ROWS=30000000`` as many as that: they are written into a
PostgreSQL of its own, which takes longer than the simulation. The floor is one statement that sums the same rows.
"""

import os
import re
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measuring import Spread
from benchmarks.report import Part, Table, Target
from benchmarks.usage import database, execute

ROWS = 3_000_000
CLIENTS, ENDPOINTS, DAYS = 5_000, 12, 7
END = datetime(2026, 6, 21, 12, tzinfo=UTC)
BEGIN = END - timedelta(days=DAYS)
MINUTES = DAYS * 24 * 60
SECONDS_FOR_30_MILLION = 120

# Few clients send much and many send little; each uses three endpoints. One row of twelve is of denied requests.
_FILL = f"""
    INSERT INTO limits_usage (minute, client_key, endpoint, outcome, requests, cost)
    SELECT %(begin)s::timestamptz + make_interval(mins => minute), 'client ' || client,
        'endpoint-' || (client * 7 + (random() * 2)::int * 5) %% {ENDPOINTS},
        CASE WHEN random() < 0.08 THEN 'denied' ELSE 'admitted' END, n, n
    FROM generate_series(%(first)s::int, %(last)s::int) AS minute, generate_series(1, %(rows)s::int) AS row,
        LATERAL (SELECT (power(random(), 1.3 + 0 * row) * {CLIENTS})::int AS client) AS who,
        LATERAL (SELECT 1 + client %% 40 + (random() * 20)::int AS n) AS amount
"""  # noqa: S608
# Rows are written much faster without indexes, of which a simulation uses the first at most.
_WITHOUT_INDEXES = """
    ALTER TABLE limits_usage DROP CONSTRAINT usage_one_row;
    DROP INDEX usage_of_client, usage_denied
"""
_WITH_INDEX = "CREATE INDEX ON limits_usage (minute, client_key, endpoint, outcome)"
_FLOOR = "SELECT client_key, endpoint, sum(requests) FROM limits_usage GROUP BY 1, 2"


def part(url: str, rounds: int) -> Part:
    """Measures a simulation in a separate PostgreSQL. The Redis at this URL is not used."""
    with database():
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        rows = _filled(int(os.environ.get("ROWS") or ROWS))
        measured = [_measured(rows) for _ in range(min(rounds, 3))]
    seconds, floor, backend, worker, denied = zip(*measured, strict=True)
    per_row = Spread.of([each / rows * 1e6 for each in seconds])
    ratio = Spread.of([ours / least for ours, least in zip(seconds, floor, strict=True)])
    table = Table(
        f"{rows:,} rows by minute, {CLIENTS:,} clients, two plans with five limits before and after",
        ("what", "figure"),
        [
            ("simulation, seconds", Spread.of(seconds)),
            ("one sum over the same rows, seconds", Spread.of(floor)),
            ("simulation / sum", ratio),
            ("simulation, µs per row", per_row),
            ("all processes of PostgreSQL, memory of their own at most, MiB", Spread.of(backend)),
            ("the worker's memory grew by at most, MiB", Spread.of(worker)),
            ("clients with denied requests", denied[0]),
        ],
    )
    return Part("Simulation", [table], [Target("simulation, µs per row", per_row, SECONDS_FOR_30_MILLION / 30)])


def _filled(wanted: int) -> int:
    step = 60
    execute(_WITHOUT_INDEXES)
    for first in range(0, MINUTES, step):
        last = min(first + step, MINUTES) - 1
        execute(_FILL, {"begin": BEGIN, "first": first, "last": last, "rows": round(wanted / MINUTES)})
    execute(_WITH_INDEX)
    execute("VACUUM ANALYZE limits_usage")
    return int(execute("SELECT count(*) FROM limits_usage")[0][0])


def _rules(quota: int) -> Any:
    from ratelimit_enforcer.domain.enums import Algorithm, Period
    from ratelimit_enforcer.domain.limit import Limit
    from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy, Rules

    endpoints = tuple(Endpoint(f"endpoint-{at}", f"endpoint-{at}") for at in range(ENDPOINTS))
    policies = (
        Policy("a-bucket", (Limit(30, 60, Algorithm.TOKEN_BUCKET, 200),), endpoint="endpoint-3"),
        Policy("b-endpoint", (Limit(quota, 60), Limit(40 * quota, 3_600)), endpoint="endpoint-7"),
        Policy("c-all", (Limit(2 * quota, 60),)),
        Policy("d-day", (Limit(20_000, algorithm=Algorithm.CALENDAR, period=Period.DAY, timezone="Europe/Berlin"),)),
    )
    return Rules((Plan("free", "Free"), Plan("pro", "Pro")), "free", endpoints, policies)


def _measured(rows: int) -> tuple[float, float, float, float, int]:
    """Seconds of the simulation and of the floor, MiB of PostgreSQL and of this process, and clients."""
    from limits.simulation.comparing import Run
    from limits.simulation.running import LANES
    from limits.simulation.subjects import Comparison
    from ratelimit_enforcer.domain.dates import microseconds

    began = time.perf_counter()
    execute(_FLOOR)
    floor = time.perf_counter() - began
    run = Run(Comparison(_rules(50), _rules(40), microseconds(END)), BEGIN, END, lambda percent: None, lanes=LANES)
    with _Memory(int(execute("SELECT pg_backend_pid()")[0][0])) as memory:
        began = time.perf_counter()
        clients = sum(len(found) for found in run.clients())
        seconds = time.perf_counter() - began
    return seconds, floor, memory.backend, memory.own, clients


class _Memory:
    """Samples the anonymous memory of PostgreSQL and of this process, in MiB. ``backend``: a process of PostgreSQL."""

    def __init__(self, backend: int) -> None:
        self._server = psutil.Process(backend).parent()
        self._before = _anonymous(os.getpid())
        self.backend = self.own = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            # A process may end between the two calls.
            with suppress(OSError, psutil.Error):
                children = self._server.children() if self._server else []
                self.backend = max(self.backend, sum(_anonymous(child.pid) for child in children))
            self.own = max(self.own, _anonymous(os.getpid()) - self._before)


def _anonymous(pid: int) -> float:
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1_024 if found else 0.0
