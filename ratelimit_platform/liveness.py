"""Whether a worker or beat must be restarted: ``python -m ratelimit_platform.liveness worker`` (or ``beat``).

For Kubernetes, which restarts containers that fail this check. While the broker is unavailable, the check succeeds: a
restart would not help, and after several restarts Kubernetes waits up to five minutes before the next one.
"""

import sys
import time
from collections.abc import Callable

from celery.utils.nodenames import default_nodename
from kombu.exceptions import OperationalError

from ratelimit_platform.beat import TICK_FILE, tick_problem
from ratelimit_platform.celery import app

BROKER_SECONDS = 3
"""Seconds that the broker may take to accept a connection and to answer."""

ANSWER_SECONDS = 5
"""Seconds that the worker may take to answer. Its main process answers even while all child processes are busy."""


def broker_answers() -> bool:
    """Whether the broker accepts a connection within :data:`BROKER_SECONDS`."""
    timeouts = {"socket_timeout": BROKER_SECONDS, "socket_connect_timeout": BROKER_SECONDS}
    try:
        with app.connection_for_write(transport_options=timeouts) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except OperationalError:
        return False
    return True


def problem_of_worker() -> str | None:
    """The reason why the worker of this container must be restarted; None if it is healthy."""
    name = default_nodename(None)
    if not broker_answers() or app.control.inspect(destination=[name], timeout=ANSWER_SECONDS).ping():
        return None
    return f"The worker {name} does not respond, although the broker does."


def problem_of_beat() -> str | None:
    """The reason why the beat of this container must be restarted; None if it is healthy."""
    found = tick_problem(TICK_FILE, time.time())
    return found if found and broker_answers() else None


PROBLEMS: dict[str, Callable[[], str | None]] = {"worker": problem_of_worker, "beat": problem_of_beat}

if __name__ == "__main__":
    sys.exit(PROBLEMS[sys.argv[1]]())
