"""Heartbeats are calls of their own, made by a thread that a check starts."""

from limits.enforcement import get_engine
from tests.support.waiting import wait_until


def wait_for_heartbeat() -> None:
    """Until the heartbeat that the checks so far have started is over, so that it is in no count."""
    wait_until(lambda: not get_engine()._fallback._beating.locked())
