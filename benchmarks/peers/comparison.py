"""Interleaved measurement of all throttles, each in a separate process."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from subprocess import CalledProcessError

from benchmarks.lines import Process
from benchmarks.measuring import Sample, Series, Spread, Subject, interleaved, ratio, spread
from benchmarks.peers import environment
from benchmarks.peers.process import CROWD, REQUESTS, THREADS
from benchmarks.report import Headline, Part, Table, Target

NAME = "Compared with other throttles"
CALLS, TURNS = 500, 5
QUOTA, EXACT_QUOTA, TRIES = 1_000, 50, 3
FIRST_OF_EXACT = 1_000_000
"""The first number of clients that no other measurement uses."""

OURS, ALSO_OURS, FRAMEWORK = "policy-3", ("policy-1", "atomic"), "drf"
TITLES = {
    "policy-3": "PolicyThrottle, 3 limits in 2 policies",
    "policy-1": "PolicyThrottle, 1 limit",
    "atomic": "AtomicUserRateThrottle, 1 limit",
    "drf": "DRF's UserRateThrottle on django-redis, 1 limit",
    "django-ratelimit": "django-ratelimit, `is_ratelimited`, on django-redis, 1 limit",
    "smart-decorator": "django-smart-ratelimit, `@rate_limit`, Redis backend, sliding window, 1 limit",
    "smart-backend": "django-smart-ratelimit, its Redis backend alone, 1 limit",
    "limits-moving": "limits, moving window, 1 limit",
    "limits-sliding": "limits, sliding window counter, 1 limit",
    "throttled-gcra": "throttled-py, GCRA, 1 limit",
    "throttled-sliding": "throttled-py, sliding window, 1 limit",
}
HEADLINES = {
    "drf": "DRF's UserRateThrottle, 1 limit",
    "django-ratelimit": "django-ratelimit, 1 limit",
    "smart-decorator": "django-smart-ratelimit, 1 limit",
}
FIGURES = {"": "us", f", {CROWD} threads": "crowd_us"}
"""Kind of load → name of the figure."""
AT_LEAST = {"drf": 1.5, "django-ratelimit": 2.0, "smart-decorator": 2.0}


@dataclass(frozen=True)
class Exactness:
    """The number of requests admitted out of a thousand, with a quota of fifty."""

    admitted: Spread

    def __str__(self) -> str:
        least, most = round(self.admitted.least), round(self.admitted.most)
        return str(most) if least == most else f"{least} to {most}"

    @property
    def in_words(self) -> str:
        if self.admitted.least == self.admitted.most == EXACT_QUOTA:
            return f"exact under {THREADS} threads"
        return f"under {THREADS} threads it admits {self} with a quota of {EXACT_QUOTA}"


def part(url: str, rounds: int) -> Part:
    """Measures with the Redis at this URL."""
    try:
        python = environment.python()
    except CalledProcessError:
        return Part(NAME, [Table("A request", ("one request",), (), "Not measured: the peers cannot be installed.")])
    with _processes(python, url, QUOTA) as processes:
        series = interleaved({name: _subject(process) for name, process in processes.items()}, rounds, TURNS)
    with _processes(python, url, EXACT_QUOTA) as processes:
        exact = {name: _exactness(process) for name, process in processes.items()}
    return Part(NAME, [_table(series, exact)], _targets(series), _headlines(series, exact))


@contextmanager
def _processes(python: str, url: str, quota: int) -> Iterator[dict[str, Process]]:
    with ExitStack() as stack:
        processes = {}
        for name in TITLES:
            process = Process(_command(python, name, url, quota))
            stack.callback(process.stop)
            processes[name] = process
        yield processes


def _command(python: str, name: str, url: str, quota: int) -> list[str]:
    """Peers must not find our package ``limits``, so the working directory is not on their path."""
    interpreter = [sys.executable] if name in (OURS, *ALSO_OURS) else [python, "-P"]
    return [*interpreter, "-m", "benchmarks.peers.process", name, url, str(quota)]


def _subject(process: Process) -> Subject:
    def measure() -> Sample:
        sample: Sample = {**process.call("run", CALLS), **process.call("crowd", CALLS)}
        return sample

    return measure


def _exactness(process: Process) -> Exactness:
    return Exactness(Spread.of(process.call("admitted", FIRST_OF_EXACT + number) for number in range(TRIES)))


def _table(series: Mapping[str, Series], exact: Mapping[str, Exactness]) -> Table:
    rows = [
        (
            TITLES[name],
            spread(each, "us"),
            ratio(each, series[OURS], "us"),
            spread(each, "cpu_us"),
            spread(each, "crowd_us"),
            ratio(each, series[OURS], "crowd_us"),
            str(exact[name]),
        )
        for name, each in series.items()
    ]
    relative = "× PolicyThrottle, 3 limits"
    crowd = f"{CROWD} threads: µs a request"
    columns = ("one request", "µs", relative, "CPU of the process, µs", crowd, relative, "admitted")
    note = (
        f"{TURNS} × {CALLS} calls a round, a thousand clients in turn, from one thread; then as many from {CROWD} "
        "threads of the process at once, as in a busy web server. “Admitted”: of "
        f"{REQUESTS:,} requests of one client from {THREADS} threads at once, where {EXACT_QUOTA} per minute are "
        f"allowed; {TRIES} tries. All with redis-py and hiredis. Ours count every decision as well; the others do not. "
        "The decorator of django-smart-ratelimit also writes headers."
    )
    return Table("A request", columns, rows, note)


def _targets(series: Mapping[str, Series]) -> list[Target]:
    return [
        Target(
            f"{TITLES[OURS]}{threads}: × faster than {TITLES[name]}",
            ratio(series[name], series[OURS], figure),
            bound,
            at_most=False,
        )
        for threads, figure in FIGURES.items()
        for name, bound in AT_LEAST.items()
    ]


def _headlines(series: Mapping[str, Series], exact: Mapping[str, Exactness]) -> list[Headline]:
    ours = series[OURS]
    return [
        Headline(
            f"PolicyThrottle, 3 limits{threads}",
            spread(ours, figure),
            f"{title}; {exact[name].in_words}",
            spread(series[name], figure),
            "µs",
            ratio(ours, series[name], figure),
        )
        for threads, figure in FIGURES.items()
        for name, title in HEADLINES.items()
    ]
