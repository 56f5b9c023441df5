"""``make bench``: all figures, compared with the floor and the peers, in interleaved measurements.

``make bench PART=engine`` measures one part (``PART="engine http"``: several), ``ROUNDS=3`` runs fewer rounds.
All figures are written to ``benchmarks/results.json``. If all parts were measured, the tables are also written to
``benchmarks/RESULTS.md`` and to the README.
"""

import argparse
import dataclasses
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks import machine, readme
from benchmarks.report import Part, headlines, markdown
from ratelimit_platform.embedded.redis import RedisServer

PARTS = {
    "engine": "benchmarks.engine",
    "script": "benchmarks.script",
    "peers": "benchmarks.peers.comparison",
    "http": "benchmarks.web.load",
    "doors": "benchmarks.doors.comparison",
    "scale": "benchmarks.scale.sizes",
    "simulation": "benchmarks.simulation",
    "reports": "benchmarks.reports",
}
"""Modules with a function ``part(url, rounds)``; each is measured in a separate process."""

ROUNDS = 7
RESULTS = Path(__file__).parent / "results.json"
TABLES = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    """Measures the parts, prints the tables, and writes the files."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="ratelimit-bench-") as folder:
        server = RedisServer(Path(folder)).start()
        try:
            with server.client as redis:
                head = _head(arguments.rounds, machine.described(redis))
            parts = [_measured(name, server, arguments.rounds) for name in arguments.parts]
        finally:
            server.kill()
    _write(parts, head, complete=list(arguments.parts) == list(PARTS))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    arguments.parts = arguments.parts or list(PARTS)
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return arguments


def _head(rounds: int, described: str) -> str:
    now = datetime.now(UTC)
    return f"`make bench`, {now:%Y-%m-%d}, {rounds} rounds. {described}. Redis on loopback. {machine.sharing()}"


def _measured(name: str, server: RedisServer, rounds: int) -> Part:
    """Measures a part in a separate process, with an empty Redis."""
    print(f"… {name}", file=sys.stderr, flush=True)
    with server.client as redis:
        redis.flushall()
    function: Callable[[str, int], Part] = import_module(PARTS[name]).part
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, server.url, rounds).result()


def _write(parts: Sequence[Part], head: str, *, complete: bool) -> None:
    text = f"# Figures\n\n{head} Medians (least to most); ratios are taken within each round.\n\n{markdown(parts)}"
    print(text)
    found = {"head": head, "parts": [dataclasses.asdict(part) for part in parts]}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if complete:
        TABLES.write_text(text, encoding="utf-8")
        readme.put(f"{headlines(parts)}\n\n{head} Medians.")


if __name__ == "__main__":
    main()
