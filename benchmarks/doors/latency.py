"""Latency at a fixed rate: on an idle machine, beside hostile connections, and while Redis does not respond."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from benchmarks.doors.hostile import hostile_connections
from benchmarks.doors.load import Answered
from benchmarks.doors.processes import Gateway
from benchmarks.measuring import Sample, Series, Spread, Subject, interleaved, ratio, spread
from benchmarks.report import Cell, Table, Target

Load = Callable[[], Answered]

STOPPED_SECONDS = 5.0
STOPPED_BOUND_MS = 120.0
"""The deadline of a check, and 20 ms."""

IDLE = "half of the top rate"
HOSTILE = "the same, beside 10,000 hostile connections"
STOPPED = "a tenth of it, while Redis is stopped for five seconds"


def measured(
    gateway: Gateway,
    redis: int,
    loads: Mapping[str, Callable[[float, int], Load]],
    tops: Mapping[str, float],
    rounds: int,
) -> tuple[Table, list[Target]]:
    """``loads``: interface → a function of answers per second and seconds; ``tops``: interface → the top rate."""
    series: dict[tuple[str, str], Series] = {}
    for interface, load in loads.items():
        half = tops[interface] / 2
        subjects = {
            IDLE: _subject(load(half, 4), nullcontext),
            HOSTILE: _subject(load(half, 4), lambda: hostile_connections(gateway)),
            STOPPED: _subject(load(half / 5, 8), lambda: _stopped(redis)),
        }
        series |= {(interface, name): found for name, found in interleaved(subjects, rounds).items()}
    rows: list[tuple[Cell, ...]] = [
        (f"{interface}, {name}", *(spread(found, figure) for figure in ("answers", "p50", "p99")))
        for (interface, name), found in series.items()
    ]
    columns = ("load", "answers per second", "p50, ms", "p99, ms")
    return Table("Latency at a fixed rate", columns, rows), [
        target for interface in loads for target in _targets(interface, series)
    ]


def _subject(load: Load, beside: Callable[[], AbstractContextManager[None]]) -> Subject:
    def measure() -> Sample:
        with beside():
            found = load()
        return {"answers": found.answers / found.seconds, "p50": found.p50_ms, "p99": found.p99_ms}

    return measure


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Stops a process after one second, for :data:`STOPPED_SECONDS`."""
    os.kill(pid, signal.SIGCONT)
    timers = [threading.Timer(after, os.kill, (pid, number)) for after, number in _STOPS]
    for timer in timers:
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        os.kill(pid, signal.SIGCONT)
        # The breakers close after their next probe.
        time.sleep(2)


_STOPS = ((1.0, signal.SIGSTOP), (1.0 + STOPPED_SECONDS, signal.SIGCONT))


def _targets(interface: str, series: Mapping[tuple[str, str], Series]) -> Iterator[Target]:
    idle, hostile, stopped = (series[interface, name] for name in (IDLE, HOSTILE, STOPPED))
    p99_to_p50 = Spread.of(sample["p99"] / sample["p50"] for sample in idle)
    yield Target(f"{interface}, {IDLE}: p99 × p50", p99_to_p50, 3.0)
    yield Target(f"{interface}, hostile connections: p99 × that without them", ratio(hostile, idle, "p99"), 2.0)
    yield Target(f"{interface}, Redis stopped: p99, ms", spread(stopped, "p99"), STOPPED_BOUND_MS)
