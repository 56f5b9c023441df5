"""Two servers with live rules, and clients for them."""

from collections.abc import Iterator

import httpx
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page
from redis import Redis

from limits.models import Endpoint, Plan, tokens
from limits.publishing import clients
from tests.end_to_end.browser import context, log_in, page
from tests.end_to_end.shop import SECRET, publish
from tests.support.web import WebServer, running_servers

__all__ = ["context", "page"]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """The Redis of this test process, emptied, because each test has another database, and thus another epoch."""
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
        yield redis


@pytest.fixture
def live_rules(redis: Redis) -> None:
    """An endpoint, a default plan and a token, all live."""
    Plan.objects.create(slug="free", name="Free", is_default=True)
    Plan.objects.create(slug="pro", name="Pro")
    Endpoint.objects.create(slug="search", name="Search")
    tokens.issue(name="test", scopes=["check", "metrics"], secret=SECRET)
    publish()
    assert clients.load_all()


@pytest.fixture(scope="session")
def lasting_servers(django_db_setup: None) -> Iterator[list[WebServer]]:
    """Two servers with one process each, for all tests that neither stop nor restart a server."""
    with running_servers(2) as servers:
        yield servers


@pytest.fixture
def servers(live_rules: None, lasting_servers: list[WebServer]) -> list[WebServer]:
    """Two servers with live rules."""
    return lasting_servers


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {SECRET}"}
    # A full pool may close a connection in use: https://github.com/encode/httpcore/issues/1110.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with httpx.Client(headers=headers, limits=limits, timeout=30) as client:
        yield client


@pytest.fixture
def admin(page: Page) -> Page:
    """Ada, a superuser, logged in."""
    log_in(page, User.objects.create_superuser("ada", "ada@example.com"))
    return page
