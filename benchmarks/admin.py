"""The admin's pages on a large platform: ``make bench-admin``.

A million clients, 200 endpoints, 20 plans with a policy on each endpoint, and ten million rows of
usage of the last 24 hours, on a separate PostgreSQL and Redis. Each page is requested by a
superuser in this process, without a network. Filling the tables takes some minutes; the environment
variables ``CLIENTS`` and ``USAGE`` reduce the size.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median

from ratelimit_platform.embedded.postgres import database_url, start_postgres
from ratelimit_platform.embedded.redis import RedisServer
from ratelimit_platform.running.processes import RUN_VARIABLE, end_run

CLIENTS = int(os.environ.get("CLIENTS", "1000000"))
USAGE = int(os.environ.get("USAGE", "10000000"))
PLANS, ENDPOINTS, ROUNDS = 20, 200, 5

PAGES = {
    "home": "/admin/",
    "compare plans": "/admin/limits/plan/compare/",
    "clients": "/admin/limits/client/",
    "clients, by the beginning of a key": "/admin/limits/client/?q=client-99",
    "clients, by the beginning of a name": "/admin/limits/client/?q=Name 99",
    "clients, blocked": "/admin/limits/client/?status__exact=blocked",
    "clients, the last page": "/admin/limits/client/?p={last}",
    "a client": "/admin/limits/client/{client}/change/",
    "policies": "/admin/limits/policy/",
    "a policy": "/admin/limits/policy/{policy}/change/",
    "usage": "/admin/limits/usage/",
    "usage of one client": "/admin/limits/usage/?q=client-77",
    "publications": "/admin/limits/publication/",
    "why denied": "/admin/limits/client/explain/?client=client-77&request=GET /e7/5",
}

FILL = f"""
SET session_replication_role = replica;
INSERT INTO limits_plan (slug, name, description, is_default)
    SELECT 'plan-' || n, 'Plan ' || n, '', n = 1 FROM generate_series(1, {PLANS}) n;
INSERT INTO limits_endpoint (slug, name, description, cost)
    SELECT 'e' || n, 'Endpoint ' || n, '', 1 FROM generate_series(1, {ENDPOINTS}) n;
INSERT INTO limits_route (endpoint_id, method, path, shape, position)
    SELECT id, 'GET', '/' || slug || '/{{id}}', 'GET /' || slug || '/{{}}', 0 FROM limits_endpoint;
INSERT INTO limits_policy (slug, name, plan_id, endpoint_id, partition, mode, on_store_failure)
    SELECT p.slug || '-' || e.slug, '', p.id, e.id, 'client', 'enforce', 'local' FROM limits_plan p, limits_endpoint e;
INSERT INTO limits_policylimit (policy_id, quota, "window", algorithm, position)
    SELECT id, 100 + id % 7, 60, 'sliding_window', 0 FROM limits_policy;
INSERT INTO limits_client (key, name, plan_id, status, revision, created_at, updated_at)
    SELECT 'client-' || n, 'Name ' || n, 1 + n % {PLANS},
           CASE WHEN n % 1000 = 0 THEN 'blocked' ELSE 'active' END, n, now(), now()
    FROM generate_series(1, {CLIENTS}) n;
INSERT INTO limits_usage (minute, client_key, endpoint, outcome, requests, cost)
    SELECT date_trunc('minute', now()) - (n % 1440) * interval '1 minute', 'client-' || n / 1440 * 7919 % {CLIENTS},
           'e' || n / 1440 % {ENDPOINTS} + 1, CASE WHEN n % 10 = 0 THEN 'denied' ELSE 'admitted' END, 1 + n % 5, 1
    FROM generate_series(1, {USAGE}) n ON CONFLICT DO NOTHING;
"""  # noqa: S608 numbers only


def main() -> None:
    """Fills a platform, requests each page, and prints the durations."""
    folder = Path(tempfile.mkdtemp(prefix="ratelimit-bench-admin-"))
    try:
        with _platform(folder):
            print(f"{CLIENTS:,} clients, {USAGE:,} rows of usage, {PLANS} plans, {ENDPOINTS} endpoints\n")
            print("| page | median, ms | slowest, ms | queries |")
            print("|---|---|---|---|")
            for row in _rows():
                print(f"| {' | '.join(map(str, row))} |", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _platform(folder: Path) -> Iterator[None]:
    run = os.environ[RUN_VARIABLE] = secrets.token_hex(8)
    os.environ |= {
        "DATA_DIR": str(folder),
        "DATABASE_URL": database_url(start_postgres(folder / "postgres")),
        "REDIS_URL": RedisServer(folder / "redis").start().url,
        "SECRET_KEY": "for figures only " * 4,
        "ALLOWED_HOSTS": "testserver",
        "HTTPS": "0",
        "DJANGO_SETTINGS_MODULE": "ratelimit_platform.settings",
    }
    try:
        _fill()
        yield
    finally:
        end_run(run)


def _fill() -> None:
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from limits.publishing import clients, rules

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    clients.load_all()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in filter(str.strip, FILL.split(";\n")):
            cursor.execute(statement)
        cursor.execute("RESET session_replication_role")
        _add_up()
        cursor.execute("VACUUM ANALYZE")
    User.objects.create_superuser("bench", password=secrets.token_hex(8))
    rules.record("benchmark")
    assert rules.deliver().live


def _add_up() -> None:
    """Rolls the usage up into hours, as scheduled by beat."""
    from django.utils import timezone

    from limits.models import Progress, Work
    from limits.monitoring.rollups import roll_up

    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=25))
    roll_up(seconds=3_600)


def _rows() -> Iterator[tuple[str, int, int, int]]:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from limits.models import Client as Row
    from limits.models import Policy

    browser = Client()
    browser.force_login(User.objects.get())
    found = {
        "client": Row.objects.get(key="client-77").pk,
        "policy": Policy.objects.latest("pk").pk,
        "last": CLIENTS // 100,
    }
    for name, page in PAGES.items():
        address, times = page.format(**found), []
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            assert browser.get(address).status_code == 200, address
            times.append(round((time.perf_counter() - began) * 1000))
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        yield name, round(median(times[1:])), max(times[1:]), len(queries)


if __name__ == "__main__":
    main()
