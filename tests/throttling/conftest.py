"""A platform that the views of this process ask."""

from tests.api.conftest import shop, store

__all__ = ["shop", "store"]
