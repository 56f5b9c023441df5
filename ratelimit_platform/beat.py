"""Celery beat's scheduler, and a check of its health: ``python -m ratelimit_platform.beat``.

The schedule is kept in memory. Every interval is short, so a file of last runs would be of no use,
and a half-written file would prevent every start.
"""

import sys
import time
from pathlib import Path
from typing import Any

from celery.beat import Scheduler

from ratelimit_platform.environment import DATA_DIR

TICK_FILE = DATA_DIR / "beat-tick"
"""Touched whenever the scheduler has checked the schedule."""

MAX_TICK_AGE_SECONDS = 30.0
"""Seconds without a check of the schedule after which beat is unhealthy; it has a task every 3 s."""


class TickingScheduler(Scheduler):
    """Celery's own scheduler, which also touches a file that health checks read."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the tasks that are due. Returns the seconds until the next check."""
        wait = super().tick(*args, **kwargs)
        TICK_FILE.parent.mkdir(parents=True, exist_ok=True)
        TICK_FILE.touch()
        return wait


def tick_problem(file: Path, now: float) -> str | None:
    """The reason why the beat process that touches ``file`` is unhealthy at ``now`` (Unix time, seconds); None
    if healthy."""
    try:
        age = now - file.stat().st_mtime
    except FileNotFoundError:
        return "Beat has not checked the schedule yet."
    return None if age <= MAX_TICK_AGE_SECONDS else f"Beat last checked the schedule {age:.0f} s ago."


if __name__ == "__main__":
    sys.exit(tick_problem(TICK_FILE, time.time()))
