"""Celery beat's scheduler, and whether it is well: ``python -m ratelimit_platform.beat``.

The schedule is kept in memory. Every interval is short, so a file of last runs would bring nothing,
and a half-written one would stop each start.
"""

import sys
import time
from pathlib import Path
from typing import Any

from celery.beat import Scheduler

from ratelimit_platform.environment import DATA_DIR

TICK_FILE = DATA_DIR / "beat-tick"
"""Touched whenever the schedule was looked through."""

LATE_AFTER = 30.0
"""Seconds without a look at the schedule after which beat is not well; it has a task every 3 s."""


class TickingScheduler(Scheduler):
    """Celery's own, which leaves a sign of life."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Runs what is due. Returns the seconds until the next look."""
        wait = super().tick(*args, **kwargs)
        TICK_FILE.parent.mkdir(parents=True, exist_ok=True)
        TICK_FILE.touch()
        return wait


def problem(file: Path, now: float) -> str | None:
    """What is wrong with the beat that touches ``file``, at a Unix time."""
    try:
        age = now - file.stat().st_mtime
    except FileNotFoundError:
        return "Beat has not looked at its schedule yet."
    return None if age <= LATE_AFTER else f"Beat last looked at its schedule {age:.0f} s ago."


if __name__ == "__main__":
    sys.exit(problem(TICK_FILE, time.time()))
