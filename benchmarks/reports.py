"""Usage reports of a month: by client as CSV, and by plan.

``make bench PART=reports`` measures 100,000 clients, ``CLIENTS=1000000`` as many as that, each with requests on
``ACTIVE_DAYS`` days of the month, in a PostgreSQL of its own. The floor is one statement that sums the same rows.
"""

import os
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from benchmarks.measuring import Spread
from benchmarks.report import Part, Table, Target
from benchmarks.usage import database, execute

CLIENTS = 100_000
ACTIVE_DAYS = 5
BEGIN, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECONDS_FOR_A_MILLION = 60

_CLIENTS = """
    INSERT INTO limits_recordedclient (client_key, from_hour, plan, on_default, tags, root)
    SELECT 'client ' || number, %(begin)s, CASE WHEN number %% 3 = 0 THEN 'pro' ELSE '' END, number %% 3 > 0,
        CASE WHEN number %% 10 = 0 THEN '{eu}' ELSE '{}' END::varchar[], 'client ' || number
    FROM generate_series(1, %(clients)s) AS number
"""
_DAYS = """
    INSERT INTO limits_usageday (day, client_key, endpoint, outcome, requests, cost)
    SELECT %(begin)s::timestamptz + make_interval(days => (number * 7 + active * 6) %% 31), 'client ' || number,
        'search', 'admitted', 1 + number %% 50, 1 + number %% 50
    FROM generate_series(1, %(clients)s) AS number, generate_series(1, %(active)s) AS active
"""
_FLOOR = "SELECT client_key, sum(requests), sum(cost) FROM limits_usageday GROUP BY 1"


def part(url: str, rounds: int) -> Part:
    """Measures reports in a separate PostgreSQL. The Redis at this URL is not used."""
    clients = int(os.environ.get("CLIENTS") or CLIENTS)
    with database():
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        rows = _filled(clients)
        measured = [_measured() for _ in range(min(rounds, 3))]
    floor, by_client, by_plan, lines = zip(*measured, strict=True)
    per_client = Spread.of([each / clients * 1e6 for each in by_client])
    table = Table(
        f"A month of {clients:,} clients, {rows:,} rows by day",
        ("what", "figure"),
        [
            ("by client as CSV, seconds", Spread.of(by_client)),
            ("lines of the file", lines[0]),
            ("by plan, seconds", Spread.of(by_plan)),
            ("one sum by client over the same rows, seconds", Spread.of(floor)),
            ("by client as CSV, µs per client", per_client),
        ],
    )
    return Part(
        "Usage reports", [table], [Target("by client as CSV, µs per client", per_client, SECONDS_FOR_A_MILLION)]
    )


def _filled(clients: int) -> int:
    from limits.models import Progress, Work

    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, END)
    execute(_CLIENTS, {"begin": BEGIN, "clients": clients})
    execute(_DAYS, {"begin": BEGIN, "clients": clients, "active": ACTIVE_DAYS})
    for table in ("limits_recordedclient", "limits_usageday"):
        execute(f"VACUUM ANALYZE {table}")
    return int(execute("SELECT count(*) FROM limits_usageday")[0][0])


def _measured() -> tuple[float, float, float, int]:
    """Seconds of the floor, by client and by plan, and the lines of the file."""
    from limits.reports.files import csv_parts
    from limits.reports.reading import rows
    from limits.reports.subjects import By, Report

    floor = _seconds(lambda: execute(_FLOOR))[0]
    by_client, lines = _seconds(lambda: _lines(Report(BEGIN, END, by=(By.CLIENT,)), csv_parts, rows))
    with_plans = Report(BEGIN, END, by=(By.PLAN,))

    def read() -> int:
        with closing(rows(with_plans, NOW)) as found:
            return len(list(found))

    return floor, by_client, _seconds(read)[0], lines


def _lines(report: Any, csv_parts: Any, rows: Any) -> int:
    return sum(part.count("\n") for part in csv_parts(report, rows(report, NOW)))


def _seconds(work: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found
