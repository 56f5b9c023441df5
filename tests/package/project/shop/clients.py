"""Identification of clients."""

from typing import Any


def key_of(request: Any) -> str:
    """The key in the header; without one the client is identified by the address."""
    key: str = request.headers.get("X-Key", "")
    return key
