"""Heartbeats are calls of their own, made by a thread that a check starts."""

from ratelimit_enforcer.engine import Engine, get_engine
from tests.support.waiting import wait_until


def wait_for_heartbeat(engine: Engine | None = None) -> None:
    """Until the heartbeat that the checks of an engine (this process's) have started is over, so that it
    is in no count."""
    beating = (engine or get_engine())._fallback._beating
    wait_until(lambda: not beating.locked())
