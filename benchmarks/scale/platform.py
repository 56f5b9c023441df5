"""One process of a platform with a database: ``python -m benchmarks.scale.platform``.

Reads commands from lines: ``fill CLIENTS`` creates tables, rules and registered clients; ``load`` writes the clients
to Redis; ``publish`` changes a quota like a save in the admin; ``check CALLS`` and ``meet CALLS FIRST CLIENTS``
measure checks; ``memory`` returns the memory of the process.
"""

import itertools
import logging
import time
from statistics import median

import psutil

from benchmarks.lines import serve
from benchmarks.measuring import Sample, timed
from benchmarks.rules import QUOTA, limits_of

CLIENTS = 1_000
ENDPOINT = "three"
PUBLISHES = 5

FILL = """
    SET session_replication_role = replica;
    INSERT INTO limits_client (key, name, plan_id, status, revision, created_at, updated_at)
        SELECT 'client-' || n, 'Name ' || n, (SELECT id FROM limits_plan), 'active', n, now(), now()
        FROM generate_series(0, {clients} - 1) n;
    RESET session_replication_role;
    ANALYZE limits_client
"""


def main() -> None:
    import django

    django.setup()
    logging.disable(logging.INFO)  # A line for each publication.
    serve({"fill": fill, "load": load, "publish": publish, "check": check, "meet": meet, "memory": memory})


def fill(clients: int) -> None:
    """Fills a database with live rules and this number of clients. Triggers are disabled, because they would write
    every client to the outbox."""
    from django.core.management import call_command
    from django.db import connection

    from limits.models import Endpoint, Plan
    from limits.publishing.reconciler import go_live
    from limits.publishing.rules import record

    call_command("migrate", verbosity=0)
    Plan.objects.create(slug="free", name="Free", is_default=True)
    endpoint = Endpoint.objects.create(slug=ENDPOINT, name="Three")
    _add_policies(endpoint.pk)
    record("bench")
    assert go_live().live
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in FILL.format(clients=clients).split(";"):
            cursor.execute(statement)


def _add_policies(endpoint: int) -> None:
    from limits.models import Policy, PolicyLimit

    for number, limits in enumerate(limits_of(QUOTA)[ENDPOINT]):
        policy = Policy.objects.create(slug=f"{ENDPOINT}-{number}", endpoint_id=endpoint)
        for position, limit in enumerate(limits):
            PolicyLimit.objects.create(
                policy=policy, quota=limit.quota, window=limit.window, algorithm=limit.algorithm, position=position
            )


def load() -> float:
    """Writes every client to Redis. Returns seconds."""
    from limits.publishing.clients import load_all

    began = time.perf_counter()
    assert load_all()
    return time.perf_counter() - began


def publish() -> float:
    """Milliseconds from the save of a quota until it is live everywhere, as median of several saves."""
    return median(_publish() for _ in range(PUBLISHES))


def _publish() -> float:
    from django.db import transaction

    from limits.models import PolicyLimit
    from limits.publishing.reconciler import go_live
    from limits.publishing.rules import record

    limit = PolicyLimit.objects.earliest("pk")
    began = time.perf_counter()
    with transaction.atomic():
        limit.quota += 1
        limit.save()
        record("bench")
    assert go_live().live
    return (time.perf_counter() - began) * 1_000


def check(calls: int) -> Sample:
    """Measures checks of a thousand registered clients in turn."""
    return meet(calls, 0, CLIENTS)


def meet(calls: int, first: int, clients: int) -> Sample:
    """Measures checks of ``clients`` registered clients in turn, beginning at number ``first``."""
    from ratelimit_enforcer.engine import CheckRequest, get_engine

    engine = get_engine()
    requests = itertools.cycle([CheckRequest(f"client-{first + number}", ENDPOINT) for number in range(clients)])
    return timed(lambda: engine.check(next(requests)), calls)


def memory() -> float:
    """Unshared memory of this process in megabytes."""
    return float(psutil.Process().memory_full_info().uss) / 1e6


if __name__ == "__main__":
    main()
