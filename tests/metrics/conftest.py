"""A shop with metrics."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from limits.monitoring import prometheus
from ratelimit_enforcer.per_process import reset_once
from ratelimit_enforcer.store import observers
from tests.metrics.scraping import Scraper
from tests.publishing.platforms import Platform, platform
from tests.support.servers import Store

__all__ = ["platform"]


@pytest.fixture
def watched() -> Iterator[None]:
    """Makes this process collect metrics, starting from zero."""
    before = observers.observer
    reset_once(prometheus.instruments)
    prometheus.start_collecting()
    yield
    observers.install(before)
    reset_once(prometheus.instruments)


@pytest.fixture
def store(platform: Platform) -> Store:
    return Store(platform.url, platform.namespace)


@pytest.fixture
def scraper(watched: None, settings: Settings) -> Scraper:
    return Scraper()
