"""Usage counts agree with the answers, whatever process is killed."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from django.utils import timezone
from redis import Redis

from limits.models import Client, Endpoint, PolicyDenial, Usage, UsageParcel
from limits.monitoring import drain as module
from limits.monitoring.drain import drain
from limits.monitoring.rollups import roll_up
from limits.publishing import clients
from limits.reports.reading import rows
from limits.reports.subjects import By, Report
from tests.end_to_end.shop import SECRET, policy, publish
from tests.support.celery import HASTY, CeleryProcess
from tests.support.waiting import wait_until
from tests.support.web import WebServer, running_servers

pytestmark = [pytest.mark.xdist_group("counting-under-fire"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def own_servers(django_db_setup: None) -> Iterator[list[WebServer]]:
    """Two servers for these tests only, because one of the tests kills their processes, which are restarted."""
    with running_servers(2, workers=2) as servers:
        yield servers


@pytest.fixture
def servers(live_rules: None, own_servers: list[WebServer]) -> list[WebServer]:
    return own_servers


CLIENTS = ("acme", "mallory", "vip", "denied")
OUTCOMES = {"acme": "admitted", "mallory": "blocked", "vip": "exempt", "denied": "denied"}
LOADERS = 4


@pytest.fixture
def celery(servers: list[WebServer]) -> Iterator[list[CeleryProcess]]:
    started = [CeleryProcess(kind, **HASTY) for kind in ("worker", "beat")]
    yield started
    for process in started:
        process.stop()


@pytest.fixture
def one_client_each(servers: list[WebServer]) -> None:
    """A client for each outcome."""
    closed = Endpoint.objects.create(slug="closed", name="Closed")
    policy("open", (10**9, 3_600))
    row = policy("closed", (0, 3_600))
    row.endpoint = closed
    row.save()
    publish()
    Client.objects.create(key="mallory", status="blocked")
    Client.objects.create(key="vip", status="exempt")
    assert clients.deliver().live


class Load:
    """Sends checks to both servers until it is ended, and records the answers."""

    def __init__(self, servers: list[WebServer]) -> None:
        self._servers = servers
        self.answered: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.degraded: Counter[str] = Counter()
        """Client → answers that a busy Redis did not decide in time."""
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(LOADERS)
        self._running = [self._pool.submit(self._run, number) for number in range(LOADERS)]

    def _run(self, number: int) -> None:
        client = CLIENTS[number % len(CLIENTS)]
        body = {"client": client, "endpoint": "closed" if client == "denied" else "search"}
        with httpx.Client(headers={"Authorization": f"Bearer {SECRET}"}, timeout=30) as http:
            turn = 0
            while not self._stop.is_set():
                turn += 1
                self._note(client, self._ask(http, self._servers[turn % 2], body))

    def _ask(self, http: httpx.Client, server: WebServer, body: dict[str, str]) -> dict[str, Any] | None:
        try:
            answer = http.post(f"{server.url}/v1/check?status=200", json=body)
        except httpx.TransportError:
            return None
        assert answer.status_code in (200, 503), answer.text
        return answer.json() if answer.status_code == 200 else None

    def _note(self, client: str, answer: dict[str, Any] | None) -> None:
        with self._lock:
            (self.answered if answer else self.unanswered)[client] += 1
            self.degraded[client] += bool(answer and answer["degraded"])

    def more(self, requests: int = 200) -> None:
        """Waits for this number of further answers."""
        goal = self.answered.total() + requests
        wait_until(lambda: self.answered.total() >= goal)

    def end(self) -> None:
        self._stop.set()
        self._pool.shutdown()
        for future in self._running:
            future.result()


def a_load(servers: list[WebServer]) -> Load:
    """A completed load of some hundred answered requests."""
    load = Load(servers)
    try:
        load.more(400)
    finally:
        load.end()
    return load


def counted() -> dict[str, int]:
    """Client → counted requests; asserts that each client has only its own outcome."""
    totals: Counter[str] = Counter()
    for row in Usage.objects.all():
        assert row.outcome == OUTCOMES[row.client_key]
        totals[row.client_key] += row.requests
    return dict(totals)


def reported() -> dict[str, int]:
    """Client → requests, in a report of all hours around now, before and after the rollups."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    report = Report(now - timedelta(hours=24), now + timedelta(hours=24), by=(By.CLIENT,))
    before = list(rows(report))
    roll_up(now + timedelta(hours=2))
    assert list(rows(report)) == before
    names = {"mallory", "vip"}
    found = {row.about[0] or "": row.figures[0] for row in before}
    assert found.keys() == names | {""}
    denied = next(row.figures[2] for row in before if row.about == (None,))
    return {"acme": found[""] - denied, "denied": denied, "mallory": found["mallory"], "vip": found["vip"]}


def drain_all(redis: Redis) -> None:
    """Completes the drain of a killed worker, until the store has no counts."""
    wait_until(lambda: (drain(), not list(redis.scan_iter("rl:*:usage")) + list(redis.scan_iter("rl:*:drain")))[1])


def test_counts_are_exact_while_web_workers_celery_and_beat_are_killed(
    servers: list[WebServer], celery: list[CeleryProcess], one_client_each: None, redis: Redis
) -> None:
    # Each worker once, because granian considers a worker that ends twice within seconds a crash loop.
    web_workers = [worker for pair in zip(*(server.workers for server in servers), strict=True) for worker in pair]
    redis.config_resetstat()
    load = Load(servers)
    try:
        for number, web_worker in enumerate(web_workers):
            _wait_for_a_drain()
            web_worker.kill()
            celery[number % 2].kill()
            load.more()
            celery[number % 2].start()
        _wait_for_a_drain()
    finally:
        load.end()
    assert len(web_workers) == 4
    for process in celery:
        process.kill()
    drain_all(redis)
    found = counted()
    calls = redis.info("commandstats")["cmdstat_hincrby"]["calls"]
    for client in CLIENTS:
        seen = (client, load.answered, load.unanswered, load.degraded, found, calls)
        surely = load.answered[client] - load.degraded[client]
        assert surely <= found[client] <= load.answered[client] + load.unanswered[client], seen
    assert reported() == found
    denials = sum(PolicyDenial.objects.values_list("requests", flat=True))
    assert denials == found["denied"]
    # Several decisions without the store are counted by one command.
    together = 2 * load.degraded.total()
    assert sum(found.values()) + denials - together <= calls <= sum(found.values()) + denials


def _wait_for_a_drain() -> None:
    """Waits until Celery has drained further counts."""
    before = UsageParcel.objects.count()
    wait_until(lambda: UsageParcel.objects.count() > before)


def test_a_worker_killed_inside_the_drains_transaction_causes_no_loss_or_double_count(
    servers: list[WebServer], one_client_each: None, redis: Redis
) -> None:
    load = a_load(servers)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE limits_usage IN EXCLUSIVE MODE")
        started = [CeleryProcess(kind, **HASTY) for kind in ("worker", "beat")]
        # The worker waits for the lock within its transaction, after inserting the ids.
        wait_until(lambda: _waits_for_a_lock(cursor))
        for process in started:
            process.kill()
        wait_until(lambda: not _waits_for_a_lock(cursor) or _end_waiting(cursor))
    assert Usage.objects.count() == 0
    assert UsageParcel.objects.count() == 0
    assert list(redis.scan_iter("rl:*:drain"))
    wait_until(lambda: _drained_to(load, redis))
    assert module.drain() == 0


def _waits_for_a_lock(cursor: Any) -> bool:
    # Within a transaction PostgreSQL caches this view until the snapshot is cleared.
    cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
    )
    return bool(cursor.fetchone()[0])


def _end_waiting(cursor: Any) -> bool:
    """Ends the session of the killed worker, whose disconnection PostgreSQL detects only after some time."""
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
    )
    return False


def test_counts_wait_while_celery_is_unavailable(servers: list[WebServer], one_client_each: None, redis: Redis) -> None:
    load = a_load(servers)
    assert Usage.objects.count() == 0
    wait_until(lambda: _drained_to(load, redis))


def _drained_to(load: Load, redis: Redis) -> bool:
    """Whether each answer is counted once; counts of decisions without the store arrive a second later."""
    drain_all(redis)
    return counted() == dict(load.answered)
