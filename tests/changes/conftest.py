"""Fixtures of the config file's tests."""

from tests.publishing.conftest import shop
from tests.publishing.platforms import platform

__all__ = ["platform", "shop"]
