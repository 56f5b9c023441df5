"""What Redis itself says of the commands that it ran."""

import threading
from collections.abc import Callable
from typing import Any

from redis import Redis

from benchmarks.measuring import Sample, timed

_MARK = "benchmarks:mark"


def timed_with_redis(redis: Redis, call: Callable[[], object], calls: int) -> Sample:
    """As :func:`timed`, with ``redis_us``: microseconds of Redis for one call. Each call is at least
    one script."""
    redis.config_resetstat()
    sample = timed(call, calls)
    scripts = redis.info("commandstats")["cmdstat_evalsha"]
    assert scripts["calls"] >= calls, "Redis was not asked for each call."
    return {**sample, "redis_us": scripts["usec"] / calls}


def commands_of(redis: Redis, call: Callable[[], object], calls: int) -> int:
    """How many commands Redis got from clients while ``call`` was called so many times, by
    ``MONITOR``; what scripts call is not counted."""
    seen: list[Any] = []
    listening = threading.Event()
    call()  # What is done once, such as opening a connection or a heartbeat, is over.

    def listen() -> None:
        with redis.monitor() as monitor:
            listening.set()
            for command in monitor.listen():
                if _MARK in command["command"]:
                    return
                seen.append(command)

    thread = threading.Thread(target=listen)
    thread.start()
    listening.wait()
    for _ in range(calls):
        call()
    redis.get(_MARK)
    thread.join()
    return sum(command["client_type"] != "lua" for command in seen)
