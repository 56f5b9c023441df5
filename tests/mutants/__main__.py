"""Applies one mutation at a time to a copy of the project, runs the fast tests, and lists those that no test detected.

A mutation without a target is a separate error, listed at the end, and does not stop the others.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from ratelimit_platform.embedded.postgres import database_url, start_postgres
from tests.mutants.mutations import MUTATIONS, Mutation
from tests.mutants.targets import NotOnce

BASE_DIR = Path(__file__).resolve().parents[2]
COPIES = 2
STORE_TESTS = (
    *("promises", "expiry", "usage_counts", "thresholds", "usage_writer", "drift", "wrong_clocks", "damaged_counters"),
    *("pending", "completer", "refund", "split_histories", "settling", "any_sequence"),
)
FAST_TESTS = (
    "tests/store/test_decide_script.py",
    "tests/domain",
    "tests/engine/test_trees.py",
    *(f"tests/store/test_{name}.py" for name in STORE_TESTS),
    "tests/engine/test_deciding.py",
    "tests/engine/test_together.py",
    "tests/engine/test_refunds_of_the_newest_usage.py",
    "tests/engine/test_policy_dates.py",
    "tests/engine/test_attributes.py",
    "tests/engine/test_blocks.py",
    "tests/engine/test_reservations.py",
    "tests/engine/test_reservations_in_parts.py",
    "tests/engine/test_split_failures.py",
    "tests/engine/test_fresh_rules.py",
    "tests/engine/test_store_trouble.py",
    "tests/api/test_vectors.py",
    "tests/throttling",
    "tests/api/test_damaged_data.py",
)
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".data", "__pycache__", ".*_cache", ".hypothesis")


@dataclass(frozen=True)
class Copy:
    """A copy of the project, and the URL of a PostgreSQL that is kept for several mutations."""

    place: Path
    database: str


class TestsDidNotRun(Exception):
    """Pytest failed to run the tests. The message is the end of its output."""


def main() -> int:
    """Returns the number of mutations that no test detected or that could not be tried. Arguments select mutations
    whose place or new text contains one of them."""
    chosen = [each for each in MUTATIONS if not sys.argv[1:] or _is_named(each, sys.argv[1:])]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(COPIES) as pool:
        postgres = start_postgres(Path(folder) / "postgres")
        copies: Queue[Copy] = Queue()
        for number in range(COPIES):
            place = _copy(Path(folder) / f"copy-{number}")
            copies.put(Copy(place, database_url(postgres, f"copy_{number}")))
        try:
            problems = [each for each in pool.map(lambda mutation: _try(mutation, copies), chosen) if each]
        finally:
            postgres.stop()
    print(f"\n{len(chosen)} mutations, {len(problems)} of them unnoticed or without a target.")
    print(*problems, sep="\n")
    return len(problems)


def _is_named(mutation: Mutation, parts: Sequence[str]) -> bool:
    return any(part in text for part in parts for text in (mutation.place, mutation.new))


def _copy(place: Path) -> Path:
    shutil.copytree(BASE_DIR, place, ignore=LEFT_OUT)
    (place / ".venv").symlink_to(BASE_DIR / ".venv")
    return place


def _try(mutation: Mutation, copies: "Queue[Copy]") -> str:
    """Returns a line about the mutation if it was not detected, else an empty string."""
    copy = copies.get()
    try:
        with _made(mutation, copy.place):
            result = "noticed" if _tests_fail(copy, mutation) else "SURVIVED"
    except (NotOnce, TestsDidNotRun, subprocess.TimeoutExpired) as error:
        result = f"NOT TRIED ({error})"
    finally:
        copies.put(copy)
    line = f"  {result}: {mutation.place}: {mutation.old}  →  {mutation.new}"
    print(line, flush=True)
    return "" if result == "noticed" else line


@contextmanager
def _made(mutation: Mutation, place: Path) -> Iterator[None]:
    file = place / mutation.file
    source = file.read_text(encoding="utf-8")
    file.write_text(mutation.applied(source), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(source, encoding="utf-8")


def _tests_fail(copy: Copy, mutation: Mutation) -> bool:
    nearest = ["tests/domain"] if mutation.file.startswith("ratelimit_enforcer/domain/") else []
    tests = dict.fromkeys([*nearest, *FAST_TESTS])
    command = [sys.executable, "-m", "pytest", *tests, "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    environment = os.environ | {"NO_SHRINKING": "1", "DATABASE_URL": copy.database}
    tried = subprocess.run(
        command, cwd=copy.place, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    if tried.returncode not in (0, 1):
        raise TestsDidNotRun(tried.stdout[-2_000:] + tried.stderr[-2_000:])
    return tried.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
