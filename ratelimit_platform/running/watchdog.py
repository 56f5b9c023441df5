"""Ends a run whose supervisor was killed: ``python -m ratelimit_platform.running.watchdog RUN``.

It waits for the end of its standard input, which the supervisor holds open. However the supervisor
goes, the input ends.
"""

import os
import signal
import sys

from ratelimit_platform.running.processes import RUN_VARIABLE, end_run


def main() -> None:
    """Waits, then ends what is left."""
    run = sys.argv[1]
    # Not one of the run's own processes: it has to outlive them.
    os.environ.pop(RUN_VARIABLE, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.read()
    end_run(run)


if __name__ == "__main__":
    main()
