"""What differs between the releases of redis-py that a project may have (5 to 8)."""

from typing import Any


def event_dispatcher() -> Any:
    """What the methods for commands ask of a client since release 5.3; None before."""
    try:
        from redis.event import EventDispatcher
    except ModuleNotFoundError:
        return None
    return EventDispatcher()
