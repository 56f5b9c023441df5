"""Load from wrk on all views, interleaved."""

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks.measuring import Sample, Series, Subject, interleaved, ratio, spread
from benchmarks.report import Headline, Part, Table, Target
from benchmarks.rules import publish, ruleset
from benchmarks.web.server import WORKERS, web_server

SECONDS = 2
CONNECTIONS = (1, 16, 64)
TOGETHER = 100
TARGET_CONNECTIONS = 64
SCRIPT = Path(__file__).parent / "requests.lua"


@dataclass(frozen=True)
class View:
    """A measured view; ``decisions``: their number in each request."""

    title: str
    path: str
    kind: str
    decisions: int = 1


EMPTY = View("an empty DRF view", "/bench/empty", "get")
MINIMAL = View("a hand-written DRF view, one `EVALSHA`", "/bench/minimal", "check")
CHECK = View("`POST /v1/check`, 3 limits", "/v1/check", "check")
BATCH = View(f"`POST /v1/check/batch`, {TOGETHER} checks, 3 limits", "/v1/check/batch", "batch", TOGETHER)
SHOP = View("a shop's DRF view under PolicyThrottle, 3 limits", "/three", "get")
VIEWS = (EMPTY, MINIMAL, CHECK, BATCH, SHOP)


def part(url: str, rounds: int) -> Part:
    """Measures with the Redis at this URL."""
    if shutil.which("wrk") is None:
        note = "Not measured: wrk is not installed (`apt-get install wrk`)."
        return Part("Over HTTP", [Table("Requests", ("view",), (), note)])
    token = secrets.token_urlsafe(32)
    publish(url, ruleset(token_digest=sha256(token.encode()).hexdigest()))
    with tempfile.TemporaryDirectory(prefix="ratelimit-bench-") as folder, web_server(url, Path(folder)) as server:
        tables: list[Table] = []
        targets: list[Target] = []
        headlines: list[Headline] = []
        for connections in CONNECTIONS:
            subjects = {view.title: _subject(f"{server.url}{view.path}", view, connections, token) for view in VIEWS}
            series = interleaved(subjects, rounds)
            tables.append(_table(connections, series))
            targets += _targets(connections, series)
            headlines.append(_headline(connections, series))
    return Part("Over HTTP", tables, targets, headlines)


def _subject(url: str, view: View, connections: int, token: str) -> Subject:
    command = ("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{SECONDS}s")

    def measure() -> Sample:
        whole = [*command, "--timeout", "10s", "--script", str(SCRIPT), url, "--", view.kind, token]
        printed = subprocess.run(whole, check=True, capture_output=True, text=True).stdout
        found = json.loads(printed.strip().splitlines()[-1])
        assert not found["bad"], f"{view.title} answered {found['bad']} of {found['requests']} requests with an error."
        requests = found["requests"] / found["us"] * 1e6
        return {
            "requests": requests,
            "decisions": requests * view.decisions,
            "p50": found["p50_us"] / 1_000,
            "p99": found["p99_us"] / 1_000,
        }

    return measure


def _table(connections: int, series: Mapping[str, Series]) -> Table:
    rows = [
        (
            title,
            spread(each, "requests"),
            ratio(each, series[MINIMAL.title], "requests"),
            spread(each, "p50"),
            spread(each, "p99"),
        )
        for title, each in series.items()
    ]
    columns = ("view", "requests per second", "× the one by hand", "p50, ms", "p99, ms")
    note = f"granian with {WORKERS} workers, wrk with one thread on the same machine, {SECONDS} s a round."
    return Table(_so_many(connections), columns, rows, note)


def _targets(connections: int, series: Mapping[str, Series]) -> list[Target]:
    check = series[CHECK.title]
    targets = [
        Target(
            f"/v1/check, {_so_many(connections)}: requests per second × the view by hand",
            ratio(check, series[MINIMAL.title], "requests"),
            0.9,
            at_most=False,
        )
    ]
    if connections == TARGET_CONNECTIONS:
        batch = ratio(series[BATCH.title], check, "decisions")
        targets.append(Target(f"batch of {TOGETHER}: decisions per second × single checks", batch, 15, at_most=False))
    return targets


def _headline(connections: int, series: Mapping[str, Series]) -> Headline:
    check, minimal = series[CHECK.title], series[MINIMAL.title]
    return Headline(
        f"`POST /v1/check`, 3 limits, {_so_many(connections)}",
        spread(check, "requests"),
        "a hand-written DRF view with one `EVALSHA`",
        spread(minimal, "requests"),
        "requests/s",
        ratio(check, minimal, "requests"),
    )


def _so_many(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"
