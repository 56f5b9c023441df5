"""Fixtures of the store's tests."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.deciding import Desk


@pytest.fixture
def desk(redis_url: str) -> Iterator[Desk]:
    """The decision script with a clock that the test controls."""
    desk = Desk(redis_url, f"test-{secrets.token_hex(4)}")
    yield desk
    desk.close()
