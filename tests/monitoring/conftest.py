"""Fixtures of the monitoring tests."""

from tests.publishing.platforms import platform

__all__ = ["platform"]
