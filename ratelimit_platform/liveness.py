"""Whether a worker or beat has to be restarted: ``python -m ratelimit_platform.liveness worker`` (or ``beat``).

For Kubernetes, which restarts what is not alive. Nothing has to be restarted while the broker is unavailable: no
restart brings it back, and after a row of restarts Kubernetes waits up to five minutes before the next one.
"""

import sys
import time
from collections.abc import Callable

from celery.utils.nodenames import default_nodename
from kombu.exceptions import OperationalError

from ratelimit_platform.beat import TICK_FILE, problem
from ratelimit_platform.celery import app

BROKER_SECONDS = 3
"""How long the broker may take to accept a connection and to answer."""

ANSWER_SECONDS = 5
"""How long the worker may take to answer. Its main process does, also while all its children work on tasks."""


def broker_answers() -> bool:
    timeouts = {"socket_timeout": BROKER_SECONDS, "socket_connect_timeout": BROKER_SECONDS}
    try:
        with app.connection_for_write(transport_options=timeouts) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except OperationalError:
        return False
    return True


def problem_of_worker() -> str | None:
    """What is wrong with the worker of this container."""
    name = default_nodename(None)
    if not broker_answers() or app.control.inspect(destination=[name], timeout=ANSWER_SECONDS).ping():
        return None
    return f"The worker {name} does not answer, although the broker does."


def problem_of_beat() -> str | None:
    """What is wrong with the beat of this container."""
    found = problem(TICK_FILE, time.time())
    return found if found and broker_answers() else None


PROBLEMS: dict[str, Callable[[], str | None]] = {"worker": problem_of_worker, "beat": problem_of_beat}

if __name__ == "__main__":
    sys.exit(PROBLEMS[sys.argv[1]]())
