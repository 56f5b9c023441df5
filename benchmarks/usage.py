"""Queries of the admin's home page and of alerts on ten million rows of usage by minute.

``python -m benchmarks.usage [ROWS]`` creates a database in a temporary folder, fills two days with artificial
requests, rolls them up into hours and days like the platform, and prints the duration and the query plan of each
query. It takes some minutes.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

ROWS = 10_000_000
ROUNDS = 5
RESULTS = Path(__file__).parent / "results-usage.json"
MINUTES = 2 * 24 * 60
OVERLAP = 1.35
"""Factor for generated rows, because some of them are equal and become one row."""
CLIENTS, ENDPOINTS = 5_000, 12
END = datetime(2026, 6, 21, 12, tzinfo=UTC)
BEGIN = END - timedelta(minutes=MINUTES)

# Few clients send much and many send little: a power of a uniform random number has such a distribution.
# Each client uses three endpoints.
FILL = f"""
    INSERT INTO limits_usage (minute, client_key, endpoint, outcome, requests, cost)
    SELECT %s::timestamptz + make_interval(mins => minute), 'client ' || client,
        'endpoint-' || (client * 7 + (random() * 2)::int * 5) %% {ENDPOINTS},
        CASE WHEN random() < 0.08 THEN 'denied' ELSE 'admitted' END, 1 + client %% 40, 1 + client %% 40
    FROM generate_series(%s::int, %s::int - 1) AS minute, generate_series(1, %s::int) AS row,
        LATERAL (SELECT (power(random(), 1.3 + 0 * row) * {CLIENTS})::int AS client) AS who
    ON CONFLICT DO NOTHING
"""  # noqa: S608
FILL_QUOTA_THRESHOLDS = f"""
    INSERT INTO limits_quotacrossing (minute, client_key, endpoint, policy, mark, requests)
    SELECT %s::timestamptz + make_interval(mins => minute), 'client ' || (random() * {CLIENTS})::int, 'endpoint-1',
        'all', (ARRAY[50, 80, 90, 100])[1 + (random() * 3)::int], 1
    FROM generate_series(0, {MINUTES} - 1) AS minute, generate_series(1, 50) AS row
    ON CONFLICT DO NOTHING
"""  # noqa: S608


def main() -> None:
    """Fills the database, measures the queries, and prints the table."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with database():
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        rows = fill(wanted)
        hours, seconds, steps = add_up()
        answers = [measured(name, question) for name, question in questions()]
        removal = remove_a_step()
    print_table(rows, hours, seconds / max(1, steps), removal, answers)
    RESULTS.write_text(json.dumps({"rows": rows, "questions": answers}, indent=2) + "\n", encoding="utf-8")


@contextmanager
def database() -> Iterator[None]:
    """A separate PostgreSQL, and Django's settings for it."""
    from ratelimit_platform.embedded.postgres import database_url, start_postgres

    with tempfile.TemporaryDirectory(prefix="ratelimit-bench-") as folder:
        postgres = start_postgres(Path(folder) / "postgres")
        os.environ |= {"DATABASE_URL": database_url(postgres), "SECRET_KEY": "benchmark", "ALLOWED_HOSTS": "localhost"}
        os.environ |= {"REDIS_URL": "redis://127.0.0.1:1", "DATA_DIR": folder}
        os.environ["DJANGO_SETTINGS_MODULE"] = "ratelimit_platform.settings"
        try:
            import django

            django.setup()
            yield
            from django.db import connection

            connection.close()
        finally:
            postgres.cleanup()


def fill(wanted: int) -> int:
    """Inserts rows of usage over two days. Returns their number."""
    from limits.models import Progress, Work

    step = 60
    for first in range(0, MINUTES, step):
        execute(FILL, [BEGIN, first, first + step, round(wanted * OVERLAP / MINUTES)])
    execute(FILL_QUOTA_THRESHOLDS, [BEGIN])
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, BEGIN)
    execute("ANALYZE")
    return int(execute("SELECT count(*) FROM limits_usage")[0][0])


def execute(statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
    """Returns the rows of a statement, if there are any."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def add_up() -> tuple[int, float, int]:
    """Rolls everything up. Returns rows by hour, seconds, and steps."""
    from limits.monitoring.rollups import roll_up

    began = time.perf_counter()
    steps = roll_up(END, seconds=3_600)
    seconds = time.perf_counter() - began
    for table in ("limits_usage", "limits_usagehour", "limits_usageday"):
        execute(f"VACUUM ANALYZE {table}")
    return int(execute("SELECT count(*) FROM limits_usagehour")[0][0]), seconds, steps


def questions() -> list[tuple[str, Callable[[], object]]]:
    """The queries with their names, for the last 24 hours unless stated otherwise."""
    from limits.models import AlertRule
    from limits.monitoring import figures, metrics

    now = END - timedelta(seconds=20)
    last_minute = metrics.minute_of(now)

    def rule(metric: str, threshold: float, window: int, group_by: str = "client") -> Callable[[], object]:
        row = AlertRule(name=metric, metric=metric, threshold=threshold, window=window, group_by=group_by)
        return lambda: metrics.firing_values(row, last_minute)

    return [
        ("home: requests by hour", lambda: figures.requests_by_hour(now)),
        ("home: most throttled clients", lambda: figures.most_throttled_clients(now)),
        ("home: most throttled endpoints", lambda: figures.most_throttled_endpoints(now)),
        ("home: clients close to a limit, last hour", lambda: figures.close_to_a_limit(now)),
        ("home: unknown endpoints", lambda: figures.unknown_endpoints(now)),
        ("home: callers counted together", lambda: figures.requests_without_client(now)),
        ("home: one client by hour", lambda: figures.client_by_hour("client 7", now)),
        ("alert: throttled, a minute, by client", rule("throttled", 50, 60)),
        ("alert: throttled, an hour, by client", rule("throttled", 5_000, 3_600)),
        ("alert: throttled, a day, by client", rule("throttled", 50_000, 86_400)),
        ("alert: throttled ratio, 5 minutes, by endpoint", rule("throttled_ratio", 0.5, 300, "endpoint")),
        ("alert: throttled ratio, a day, by client", rule("throttled_ratio", 0.9, 86_400)),
        ("alert: usage ratio, an hour, by client", rule("usage_ratio", 0.8, 3_600)),
    ]


def remove_a_step() -> float:
    """Milliseconds for one step of removing old rows."""
    from limits.monitoring.retention import ROWS_PER_STATEMENT, remove_expired

    began = time.perf_counter()
    removed = remove_expired(END + timedelta(hours=2), seconds=60)
    return (time.perf_counter() - began) * 1_000 / max(1, removed / ROWS_PER_STATEMENT)


def measured(name: str, question: Callable[[], object]) -> dict[str, Any]:
    """The duration in milliseconds, as median of several runs, and the plan of the longest query."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        question()
        times.append((time.perf_counter() - began) * 1_000)
    return {"question": name, "ms": round(median(times), 1), "plan": plan_of(question)}


def plan_of(question: Callable[[], object]) -> str:
    """The scans in PostgreSQL's plan: “Index Only Scan limits_usagehour by usagehour_one_row”, …"""
    from django.db import connection

    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        question()
    sql, parameters = max(asked, key=lambda each: len(each[0]))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
        plan = cursor.fetchone()[0]
    return "; ".join(dict.fromkeys(_scans((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])))


def _scans(node: dict[str, Any]) -> Iterator[str]:
    """The executed nodes of the plan that read a table."""
    if "Scan" in node["Node Type"] and "Subquery" not in node["Node Type"]:
        rows = round(node["Actual Rows"] * node["Actual Loops"])
        where = f" {node['Relation Name']}" if "Relation Name" in node else ""
        by = f" by {node['Index Name']}" if "Index Name" in node else ""
        if rows:
            yield f"{node['Node Type']}{where}{by}, {rows:,} rows"
    for child in node.get("Plans", ()):
        yield from _scans(child)


def print_table(rows: int, hours: int, step: float, removal: float, answers: list[dict[str, Any]]) -> None:
    print(f"{rows:,} rows by minute, {hours:,} by hour, {CLIENTS:,} clients; medians of {ROUNDS}\n")
    print(
        f"A step that adds up one minute or one hour: {step * 1_000:.0f} ms. A step that removes: {removal:.0f} ms.\n"
    )
    print("| question | ms | how |")
    print("|---|---|---|")
    for answer in answers:
        print(f"| {answer['question']} | {answer['ms']:,} | {answer['plan']} |")


if __name__ == "__main__":
    main()
