"""Waiting for heartbeats, which are separate calls in a thread that a check starts."""

from ratelimit_enforcer.engine import Engine, get_engine
from tests.support.waiting import wait_until


def wait_for_heartbeat(engine: Engine | None = None) -> None:
    """Waits until the heartbeat started by the checks of an engine (default: that of this process) is over,
    so that its commands are not counted."""
    beating = (engine or get_engine())._fallback._beating
    wait_until(lambda: not beating.locked())
