"""A platform under load: a store, several web servers, and a publisher that publishes continually."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx
from django.db import connection
from django.db.models import Sum
from pytest_django import Settings

from limits.models import Client, Endpoint, Plan, Policy, PolicyLimit, Usage, tokens
from limits.monitoring.drain import drain, usage_counts
from limits.publishing import clients, rules
from limits.publishing.reconciler import reconcile
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_platform.embedded.redis import RedisServer, free_port
from tests.end_to_end.shop import SECRET
from tests.faults.history import Announcement, History
from tests.faults.load import Load
from tests.faults.proxy import Link
from tests.support.topologies import ClusterTopology, SentinelTopology
from tests.support.waiting import wait_until
from tests.support.web import WebServer, start_web_server

WINDOW = 1
QUOTA = 8
CLIENTS = tuple(f"client-{number}" for number in range(6))
ENDPOINTS = ("strict", "local", "open")
"""Named after their fallback: deny, local, allow."""

_ON_STORE_FAILURE = {"strict": "deny", "local": "local", "open": "allow"}


class Topology(Protocol):
    """The servers of a store."""

    url: str
    servers: list[RedisServer]

    @property
    def masters(self) -> list[RedisServer]: ...

    def stop(self) -> None: ...


class SingleTopology:
    """One server behind a proxy that can be slow."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(folder / "server", persistent=True)]
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> "SingleTopology":
        self.servers[0].start()
        self.link = Link(self._port, self.servers[0].port)
        return self

    @property
    def masters(self) -> list[RedisServer]:
        return self.servers

    def stop(self) -> None:
        self.link.stop()
        self.servers[0].kill()


STARTED: dict[str, Callable[[Path], Topology]] = {
    "single": lambda folder: SingleTopology(folder).start(),
    "sentinel": lambda folder: SentinelTopology(folder).start(),
    "cluster": lambda folder: ClusterTopology(folder, options=("--cluster-require-full-coverage", "no")).start(),
}


class World:
    """Two web servers with one store."""

    def __init__(self, kind: str, folder: Path, settings: Settings, deadline: float) -> None:
        """``deadline``: of one check, in seconds."""
        self._deadline = deadline
        self.servers: list[WebServer] = []
        self.asked: Counter[str] = Counter()
        self.topology = STARTED[kind](folder)
        settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"REDIS": self.topology.url}

    def start(self) -> "World":
        """Publishes the rules and starts the web servers."""
        _write_rules()
        variables = {
            "REDIS_URL": self.topology.url,
            "CELERY_BROKER_URL": os.environ["REDIS_URL"],
            "CHECK_DEADLINE": str(self._deadline),
        }
        self.servers += [start_web_server(1, **variables) for _ in range(2)]
        for server in self.servers:
            server.wait_until_it_answers()
            wait_until(lambda url=server.url: _is_ready(url))
        return self

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        self.topology.stop()

    def begin_load(self) -> Load:
        return Load([server.url for server in self.servers], CLIENTS, ENDPOINTS)

    def counted(self) -> Counter[str]:
        """Client → requests counted in the database, after a complete drain."""
        wait_until(self._is_drained)
        totals = Usage.objects.values_list("client_key").annotate(Sum("requests"))
        return Counter(dict(totals))

    def _is_drained(self) -> bool:
        try:
            drain()
            return not usage_counts().set_aside()
        except StoreUnavailable:
            return False


def _is_ready(url: str) -> bool:
    """Whether a server is ready, by the request that a load balancer sends."""
    answer = httpx.get(f"{url}/readyz", timeout=30)
    return answer.status_code == 200 and answer.json()["status"] == "ready"


def _write_rules() -> None:
    Plan.objects.create(slug="free", name="Free", is_default=True)
    for slug, answer in _ON_STORE_FAILURE.items():
        endpoint = Endpoint.objects.create(slug=slug, name=slug)
        policy = Policy.objects.create(slug=slug, endpoint=endpoint, on_store_failure=answer)
        PolicyLimit.objects.create(policy=policy, quota=QUOTA, window=WINDOW)
    endpoint = Endpoint.objects.create(slug="changing", name="What the publisher changes")
    PolicyLimit.objects.create(policy=Policy.objects.create(slug="changing", endpoint=endpoint), quota=1, window=1)
    Client.objects.bulk_create(Client(key=key) for key in CLIENTS)
    tokens.issue(name="test", scopes=["check"], secret=SECRET)
    rules.record("test")
    wait_until(lambda: rules.deliver().live)
    assert clients.load_all()
    assert clients.deliver().live


class Publisher:
    """Publishes one version after another, and runs the reconciler, until it is ended."""

    EVERY = 0.2

    def __init__(self, history: History) -> None:
        self._history = history
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        try:
            while not self._stop.wait(self.EVERY):
                self._publish()
                reconcile()
        except BaseException as error:  # noqa: BLE001  raised again by end()
            self._failed.append(error)
        finally:
            connection.close()

    def _publish(self) -> None:
        limit = PolicyLimit.objects.get(policy__slug="changing")
        PolicyLimit.objects.filter(pk=limit.pk).update(quota=limit.quota + 1)
        rules.record("test")
        delivery = rules.deliver()
        if delivery.live and delivery.version:
            self._history.announcements.append(Announcement(time.monotonic(), delivery.version))
