"""A platform for the views of this process."""

import asyncio
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.api.conftest import shop, store
from tests.support.servers import Store
from tests.throttling.views import KEY_IN_HEADER

__all__ = ["shop", "store"]


@pytest.fixture
def no_event_loop() -> Iterator[None]:
    """A browser test in the same process leaves its event loop running in this thread, where a synchronous handler
    could not call an async view."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(running)


@pytest.fixture
def keyed_shop(shop: Store, settings: Settings) -> Store:
    """A platform with the shop's rules; the header ``X-Key`` identifies the client."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": KEY_IN_HEADER}
    return shop
