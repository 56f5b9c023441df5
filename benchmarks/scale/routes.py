"""Finding the endpoint of a request among ten and among a thousand."""

import itertools
from collections.abc import Callable

from benchmarks.measuring import Subject, interleaved, ratio, spread, timed
from benchmarks.report import Table
from ratelimit_enforcer.domain.routes import Route, Router

ENDPOINTS = (10, 1_000)
CALLS = 20_000
REQUESTS = {"a literal path": "/api/v1/things-{}", "a parameter": "/api/v1/things-{}/77", "no endpoint": "/other/{}"}


def table(rounds: int) -> Table:
    """All kinds of requests, for both numbers of endpoints."""
    subjects = {f"{count:,} endpoints, {kind}": _subject(count, kind) for kind in REQUESTS for count in ENDPOINTS}
    series = interleaved(subjects, rounds)
    few = {kind: series[f"{ENDPOINTS[0]:,} endpoints, {kind}"] for kind in REQUESTS}
    rows = [
        (name, spread(each, "us"), ratio(each, few[name.partition(", ")[2]], "us")) for name, each in series.items()
    ]
    note = "By method and path, in process; two route patterns for each endpoint."
    return Table("Finding the endpoint", ("among", "µs", f"× {ENDPOINTS[0]} endpoints"), rows, note)


def _subject(count: int, kind: str) -> Subject:
    match = _matcher(count, REQUESTS[kind])
    return lambda: timed(match, CALLS)


def _matcher(count: int, path: str) -> Callable[[], object]:
    routes = [
        (Route(method, f"/api/v1/things-{number}{rest}"), f"things-{number}")
        for number in range(count)
        for method, rest in (("GET", ""), ("*", "/{id}"))
    ]
    router, paths = Router(routes), itertools.cycle([path.format(number) for number in range(count)])
    return lambda: router.match("GET", next(paths))
