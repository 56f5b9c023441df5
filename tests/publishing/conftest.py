"""Fixtures of the publisher's tests."""

import pytest

from limits.publishing import clients, rules
from tests.models import rows
from tests.publishing.platforms import Platform, platform

__all__ = ["platform"]


@pytest.fixture
def shop(platform: Platform) -> Platform:
    """A platform with version 1 live: a default plan, a policy “all” with 100 per minute, and the client acme."""
    rows.default_plan("free")
    rows.policy("all", quota=100)
    rows.client("acme")
    rules.record("test")
    assert rules.deliver().live
    assert clients.deliver().live
    assert clients.load_all()
    return platform
