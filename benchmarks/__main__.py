"""Prints the benchmark table, all of it measured in one run, interleaved, on one Redis."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.script import Case, Measurement, cases, measure
from ratelimit_platform.embedded.redis import RedisServer, redis_executable

ROUNDS = 7
RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    """Runs every case in turn, several rounds, and prints medians and ratios."""
    server = RedisServer(Path(tempfile.mkdtemp(prefix="ratelimit-bench-"))).start()
    try:
        rows = _rows(server)
    finally:
        server.kill()
    _print(rows)
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _rows(server: RedisServer) -> list[dict[str, object]]:
    with server.client as redis:
        all_cases = cases(redis)
        rounds = [[measure(redis, case) for case in all_cases] for _ in range(ROUNDS)]
    return [
        _row(case, [each[at] for each in rounds], [each[0] for each in rounds]) for at, case in enumerate(all_cases)
    ]


def _row(case: Case, measured: Sequence[Measurement], floor: Sequence[Measurement]) -> dict[str, object]:
    """Ratios are taken within each round, so that what else the machine does falls on both."""
    pairs = list(zip(measured, floor, strict=True))
    return {
        "case": case.name,
        "server_us": round(median(each.server for each in measured), 1),
        "server_ratio": round(median(each.server / least.server for each, least in pairs), 2),
        "caller_us": round(median(each.caller for each in measured), 1),
        "caller_ratio": round(median(each.caller / least.caller for each, least in pairs), 2),
    }


def _print(rows: Sequence[dict[str, object]]) -> None:
    print(f"{redis_executable().rpartition('/')[2]}, loopback, medians of {ROUNDS} interleaved rounds\n")
    print("| one call | server, µs | × floor | round trip, µs | × floor |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(map(str, row.values()))} |")


if __name__ == "__main__":
    main()
