"""A gateway in which every check has a call of the store to itself: what coalescing costs and brings."""

import sys

from gateway import engine_threads
from ratelimit_platform.gateway.__main__ import main

if __name__ == "__main__":
    engine_threads.MAX_BATCH = 1
    sys.exit(main(sys.argv[1:], "benchmarks.doors.alone"))
