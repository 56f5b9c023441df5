"""PostgreSQL is unavailable from before the start of the web servers: no check fails."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import OperationalError
from redis import Redis

from limits.models import Endpoint, Plan, tokens
from limits.publishing import clients
from ratelimit_platform.embedded.postgres import database_url, start_postgres
from tests.end_to_end.shop import SECRET, policy, publish
from tests.faults import checker
from tests.faults.injectors import require, require_soon
from tests.faults.load import Load
from tests.support.web import WebServer, start_web_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stopped_postgres(tmp_path: Path) -> str:
    """The URL of a PostgreSQL server that has been stopped."""
    server = start_postgres(tmp_path / "postgres")
    url = database_url(server)
    require(_answers(url), "It never answered.")
    os.kill(server.get_postmaster_info().pid, signal.SIGQUIT)
    require_soon(lambda: not _answers(url), "PostgreSQL still answers.")
    return url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except OperationalError:
        return False
    return True


@pytest.fixture
def servers(stopped_postgres: str, redis_url: str) -> Iterator[list[WebServer]]:
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    Plan.objects.create(slug="free", name="Free", is_default=True)
    Endpoint.objects.create(slug="search", name="Search")
    policy("all", (10, 1))
    tokens.issue(name="test", scopes=["check"], secret=SECRET)
    publish()
    assert clients.load_all()
    started = [start_web_server(DATABASE_URL=stopped_postgres, CHECK_DEADLINE="5") for _ in range(2)]
    yield started
    for server in started:
        server.stop()


def test_no_check_fails(servers: list[WebServer]) -> None:
    load = Load([server.wait_until_it_answers().url for server in servers], ["ann", "bob"], ["search"])
    load.wait_until_shared()
    load.run_for(1.5)
    history = load.end()
    assert len(history.requests) > 100
    assert not checker.failures(history, may_refuse=[])
    assert not any(request.degraded for request in history.requests)
    assert checker.over_admitted(history, "search", 10, 1) == 0
    assert checker.wrongly_denied(history, "search", 10, 1) == []
