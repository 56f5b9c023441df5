"""Two servers with rules that are live, and what asks them."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page
from redis import Redis

from limits.models import Endpoint, Plan
from limits.publishing import clients, tokens
from tests.end_to_end.browser import browser, log_in, page
from tests.end_to_end.shop import CONNECTIONS, SECRET, publish
from tests.support.web import WebServer

__all__ = ["browser", "page"]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """This test process's Redis, emptied: each test has a database, and so an epoch, of its own."""
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


@pytest.fixture(scope="module")
def workers() -> int:
    """Processes of each server. A module has more of them where it matters what those of one server share."""
    return 1


@pytest.fixture
def servers(live_rules: None, web_servers: Callable[..., list[WebServer]], workers: int) -> list[WebServer]:
    """Two servers."""
    return web_servers(2, workers=workers)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {SECRET}"}
    with httpx.Client(headers=headers, limits=httpx.Limits(max_connections=CONNECTIONS), timeout=30) as client:
        yield client


@pytest.fixture
def admin(page: Page) -> Page:
    """Ada, a superuser, logged in."""
    User.objects.create_superuser("ada", "ada@example.com", "a password of Ada")
    log_in(page, "ada", "a password of Ada")
    return page
