"""Statistics of Redis about the commands that it has run."""

import threading
from collections.abc import Callable
from typing import Any

from redis import Redis

from benchmarks.measuring import Sample, timed

_BEGIN, _END = "benchmarks:begin", "benchmarks:end"


def timed_with_redis(redis: Redis, call: Callable[[], object], calls: int) -> Sample:
    """Like :func:`timed`, plus ``redis_us``: CPU time of Redis for one call in microseconds. Each call runs at
    least one script."""
    redis.config_resetstat()
    sample = timed(call, calls)
    scripts = redis.info("commandstats")["cmdstat_evalsha"]
    assert scripts["calls"] >= calls, "Redis was not asked for each call."
    return {**sample, "redis_us": scripts["usec"] / calls}


def commands_of(redis: Redis, call: Callable[[], object], calls: int) -> int:
    """The number of commands that Redis received from clients during this number of calls, counted with
    ``MONITOR``, without those called by scripts."""
    seen: list[Any] = []
    listening = threading.Event()
    call()  # Completes work that is done once, such as opening a connection, and a heartbeat.

    def listen() -> None:
        with redis.monitor() as monitor:
            listening.set()
            for command in monitor.listen():
                seen.append(command)
                if _END in command["command"]:
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    listening.wait()
    redis.get(_BEGIN)
    for _ in range(calls):
        call()
    redis.get(_END)
    thread.join()
    begun = next(at for at, command in enumerate(seen) if _BEGIN in command["command"])
    return sum(command["client_type"] != "lua" for command in seen[begun + 1 : -1])
