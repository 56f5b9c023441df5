"""What differs between the releases of redis-py that a project may have (5 to 8)."""

import inspect
from typing import Any

from redis import Connection

_READS_IN_TIME = "timeout" in inspect.signature(Connection.read_response).parameters
"""Since release 8 a single read takes a time limit; before, the socket keeps the last one it was given."""


def is_connected(connection: Connection) -> bool:
    """Whether the connection is open on this side."""
    return connection._sock is not None


def read_response(connection: Connection, timeout: float) -> Any:
    """The answer to the command that was sent last, within ``timeout`` seconds. Raises as redis-py."""
    if _READS_IN_TIME:
        return connection.read_response(timeout=timeout)
    sock: Any = connection._sock
    sock.settimeout(timeout)
    return connection.read_response()


def event_dispatcher() -> Any:
    """What the methods for commands ask of a client since release 5.3; None before."""
    try:
        from redis.event import EventDispatcher
    except ModuleNotFoundError:
        return None
    return EventDispatcher()
