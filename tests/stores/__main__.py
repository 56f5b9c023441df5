"""Runs the tests that use the store with each server of ``SERVERS``, and prints a table.

``make stores SERVERS="/opt/redis-7.2/redis-server /opt/valkey-8/valkey-server"``; without it, the
server on the PATH and the packaged one. The exit status is 1 if a test failed.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ratelimit_platform.embedded.redis import packaged_executable, redis_executable
from tests.support.stores import path_with_store

TESTS = (
    *("tests/store", "tests/engine", "tests/throttling", "tests/publishing", "tests/faults"),
    *("tests/end_to_end/test_counting_under_fire.py", "tests/end_to_end/test_demoted.py"),
)
SHOWN = ("passed", "failed", "error", "skipped")
SHOWN_OF_FAILURES = 20_000
"""The number of characters of pytest's output that are printed after failures."""


def main() -> int:
    """Prints one row for each server, and the failures after the table."""
    servers = os.environ.get("SERVERS", "").split() or dict.fromkeys([redis_executable(), packaged_executable()])
    print(f"| server | date | {' | '.join(SHOWN)} |\n|{'---|' * (2 + len(SHOWN))}", flush=True)
    outputs = []
    for server in servers:
        counts, output = _run(server)
        print(f"| {_name(server)} | {datetime.now(UTC):%Y-%m-%d} | {_row(counts)} |", flush=True)
        if counts.get("failed") or counts.get("error") or not counts.get("passed"):
            outputs.append(f"{server}\n{output}")
    for output in outputs:
        print(f"\n{output}", file=sys.stderr)
    return 1 if outputs else 0


def _run(server: str) -> tuple[Mapping[str, int], str]:
    """The counts of pytest, and its output about failures."""
    with tempfile.TemporaryDirectory(prefix="ratelimit-stores-") as folder:
        environment = os.environ | {"PATH": path_with_store(server, Path(folder))}
        command = [sys.executable, "-m", "pytest", "-q", "--show-capture=no", *TESTS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    summary = done.stdout.rstrip().rpartition("\n")[2]
    counted = re.findall(r"(\d+) (passed|failed|error|skipped)", summary)
    return {word: int(count) for count, word in counted}, done.stdout[-SHOWN_OF_FAILURES:]


def _name(server: str) -> str:
    """``Redis 7.0.15``"""
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"^(\w+) server v=(\S+).*", r"\1 \2", told.strip())


def _row(counts: Mapping[str, int]) -> str:
    return " | ".join(str(counts.get(name, 0)) for name in SHOWN)


if __name__ == "__main__":
    sys.exit(main())
