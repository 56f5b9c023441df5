import secrets

import pytest

from tests.support.servers import Store


@pytest.fixture
def store(redis_url: str) -> Store:
    """An empty platform on a real Redis."""
    return Store(redis_url, f"test-{secrets.token_hex(4)}")
