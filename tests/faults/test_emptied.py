"""An emptied Redis under load: the real Celery worker and beat restore everything without manual action."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from pytest_django import Settings

from limits.models import Client, ClientChange, Endpoint, Plan, tokens
from limits.publishing import clients
from limits.publishing.rules import ruleset_writer
from ratelimit_platform.embedded.redis import RedisServer
from tests.end_to_end.shop import SECRET, ask, policy, publish
from tests.faults.mode import LONG
from tests.support.celery import CeleryProcess
from tests.support.waiting import wait_until
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 10_000
BACK_WITHIN = 10.0
QUOTA = 5


@pytest.fixture
def server(
    redis_server: Callable[..., RedisServer], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> RedisServer:
    """A store that is also the broker, as by default."""
    server = redis_server()
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"REDIS": server.url}
    monkeypatch.setenv("REDIS_URL", server.url)
    return server


@pytest.fixture
def shop(server: RedisServer) -> None:
    """Ten thousand clients on the free plan, one on the pro plan, and one blocked."""
    Plan.objects.create(slug="free", name="Free", is_default=True)
    pro = Plan.objects.create(slug="pro", name="Pro")
    Endpoint.objects.create(slug="search", name="Search")
    policy("free", (QUOTA, 3_600), plan="free")
    policy("pro", (10**9, 3_600), plan="pro")
    tokens.issue(name="test", scopes=["check"], secret=SECRET)
    Client.objects.bulk_create(Client(key=f"client-{number}") for number in range(CLIENTS))
    Client.objects.create(key="payer", plan=pro)
    Client.objects.create(key="mallory", status="blocked")
    publish()
    assert clients.load_all()
    ClientChange.objects.all().delete()


@pytest.fixture
def celery(shop: None) -> Iterator[None]:
    started = [CeleryProcess(kind) for kind in ("worker", "beat")]
    yield
    for process in started:
        process.stop()


class Callers:
    """Callers that send checks for all names to all servers until they are ended."""

    def __init__(self, servers: list[WebServer], names: list[str]) -> None:
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(len(servers))
        self._running = [self._pool.submit(self._run, server, names) for server in servers]

    def _run(self, server: WebServer, names: list[str]) -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {SECRET}"}, timeout=30) as http:
            while not self._stop.is_set():
                self.answers += [(name, ask(http, server, client=name)) for name in names]

    def more(self, answers: int = 60) -> None:
        goal = len(self.answers) + answers
        wait_until(lambda: len(self.answers) >= goal)

    def end(self) -> None:
        self._stop.set()
        self._pool.shutdown()
        for future in self._running:
            future.result()


def is_back() -> bool:
    marks = ruleset_writer().shard_states()
    return all(mark.token and mark.complete for mark in marks) and ruleset_writer().pointer() is not None


def test_everything_is_restored_and_limits_are_enforced_meanwhile(
    server: RedisServer, celery: None, web_servers: Callable[..., list[WebServer]]
) -> None:
    callers = Callers(web_servers(2), ["payer", "mallory", "client-1"])
    try:
        callers.more()
        server.client.flushall()
        began = time.monotonic()
        assert not is_back()
        wait_until(is_back)
        took = time.monotonic() - began
        assert server.client.dbsize() > 256
        wait_until(lambda: not any(answer["degraded"] for _, answer in callers.answers[-12:]))
        callers.more()
    finally:
        callers.end()

    outcomes = {name: Counter[Any]() for name in ("payer", "mallory", "client-1")}
    for name, answer in callers.answers:
        outcomes[name][answer["status"], answer["plan"], answer["reason"]] += 1
    assert set(outcomes["payer"]) == {(200, "pro", None)}
    assert set(outcomes["mallory"]) == {(403, "free", "blocked")}
    assert set(outcomes["client-1"]) <= {(200, "free", None), (429, "free", "limit")}
    assert QUOTA <= outcomes["client-1"][200, "free", None] <= 2 * QUOTA
    assert any(answer["degraded"] for _, answer in callers.answers)
    bucket_sizes = sum(server.client.hlen(key) for key in ruleset_writer()._keys.shards)
    assert bucket_sizes >= CLIENTS + 2 + 2 * 256
    print(f"FLUSHALL with {CLIENTS} clients: back after {took:.1f} s, {len(callers.answers)} checks")
    if LONG:
        assert took < BACK_WITHIN
