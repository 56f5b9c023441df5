"""A platform for the views of this process."""

import pytest
from pytest_django import Settings

from tests.api.conftest import shop, store
from tests.support.servers import Store
from tests.throttling.views import KEY_IN_HEADER

__all__ = ["shop", "store"]


@pytest.fixture
def keyed_shop(shop: Store, settings: Settings) -> Store:
    """A platform with the shop's rules; the header ``X-Key`` identifies the client."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": KEY_IN_HEADER}
    return shop
