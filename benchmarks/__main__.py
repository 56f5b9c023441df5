"""Prints the benchmark table, all of it measured in one run, interleaved, on one Redis."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.memory import QUOTAS, bytes_of_a_client
from benchmarks.script import Case, Measurement, cases, measure
from benchmarks.throttles import print_throttles, throttle_rows
from ratelimit_platform.embedded.redis import RedisServer, redis_executable

ROUNDS = 7
RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    """Runs every case in turn, several rounds, and prints medians and ratios."""
    server = RedisServer(Path(tempfile.mkdtemp(prefix="ratelimit-bench-"))).start()
    try:
        rows, sizes = _rows(server), _sizes(server)
        throttles = throttle_rows(server.url)
    finally:
        server.kill()
    _print(rows)
    _print_sizes(sizes)
    print_throttles(throttles)
    RESULTS.write_text(
        json.dumps({"calls": rows, "bytes": sizes, "throttles": throttles}, indent=2) + "\n", encoding="utf-8"
    )


def _rows(server: RedisServer) -> list[dict[str, object]]:
    with server.client as redis:
        all_cases = cases(redis)
        rounds = [[measure(redis, case) for case in all_cases] for _ in range(ROUNDS)]
    return [
        _row(case, [each[at] for each in rounds], [each[0] for each in rounds]) for at, case in enumerate(all_cases)
    ]


def _sizes(server: RedisServer) -> dict[int, int]:
    with server.client as redis:
        return {quota: bytes_of_a_client(redis, quota) for quota in QUOTAS}


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


def _print_sizes(sizes: dict[int, int]) -> None:
    print("\n| one client with 3 limits, quota of each | bytes in Redis |")
    print("|---|---|")
    for quota, size in sizes.items():
        print(f"| {quota:,} | {size:,} |")


if __name__ == "__main__":
    main()
