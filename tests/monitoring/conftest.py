"""A platform that counts, and the rows that its counts become."""

from tests.publishing.platforms import platform

__all__ = ["platform"]
