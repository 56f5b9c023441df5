"""Who calls."""

from typing import Any


def key_of(request: Any) -> str:
    """The key that a caller shows; who shows none is known by the address."""
    key: str = request.headers.get("X-Key", "")
    return key
