"""Makes one mistake at a time in a copy of the project, runs the fast tests, and lists survivors."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from ratelimit_platform.embedded.postgres import database_url, start_postgres
from tests.mutants.mutations import MUTATIONS, Mutation

BASE_DIR = Path(__file__).resolve().parents[2]
COPIES = 2
STORE_TESTS = (
    *("promises", "expiry", "usage_counts", "crossings", "counting", "drift", "wrong_clocks", "damaged_counters"),
    *("pending", "completer", "refund", "split_histories"),
)
FAST_TESTS = (
    "tests/store/test_decide_script.py",
    "tests/domain",
    *(f"tests/store/test_{name}.py" for name in STORE_TESTS),
    "tests/enforcement/test_deciding.py",
    "tests/enforcement/test_split_failures.py",
    "tests/enforcement/test_fresh_rules.py",
    "tests/enforcement/test_store_trouble.py",
    "tests/api/test_vectors.py",
    "tests/throttling",
    "tests/api/test_damaged_data.py",
)
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".data", "__pycache__", ".*_cache", ".hypothesis")


@dataclass(frozen=True)
class Copy:
    """A copy of the project, and the address of a PostgreSQL that stays while mistakes change."""

    place: Path
    database: str


def main() -> int:
    """Returns how many mistakes nobody noticed. Arguments choose those that hold one of them."""
    chosen = [each for each in MUTATIONS if not sys.argv[1:] or any(part in each.new for part in sys.argv[1:])]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(COPIES) as pool:
        postgres = start_postgres(Path(folder) / "postgres")
        copies: Queue[Copy] = Queue()
        for number in range(COPIES):
            place = _copy(Path(folder) / f"copy-{number}")
            copies.put(Copy(place, database_url(postgres, f"copy_{number}")))
        try:
            noticed = list(pool.map(lambda mutation: _try(mutation, copies), chosen))
        finally:
            postgres.stop()
    survivors = [mutation for mutation, seen in zip(chosen, noticed, strict=True) if not seen]
    print(f"\n{len(chosen)} mistakes, {len(survivors)} of them unnoticed.")
    for mutation in survivors:
        print(f"  {mutation.file}: {mutation.old}  →  {mutation.new}")
    return len(survivors)


def _copy(place: Path) -> Path:
    shutil.copytree(BASE_DIR, place, ignore=LEFT_OUT)
    (place / ".venv").symlink_to(BASE_DIR / ".venv")
    return place


def _try(mutation: Mutation, copies: "Queue[Copy]") -> bool:
    copy = copies.get()
    try:
        with _made(mutation, copy.place):
            seen = _tests_fail(copy, mutation)
    finally:
        copies.put(copy)
    print("noticed " if seen else "SURVIVED", mutation.file, mutation.new, flush=True)
    return seen


@contextmanager
def _made(mutation: Mutation, place: Path) -> Iterator[None]:
    file = place / mutation.file
    source = file.read_text(encoding="utf-8")
    if source.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.file} has “{mutation.old}” {source.count(mutation.old)} times, not once.")
    file.write_text(source.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(source, encoding="utf-8")


def _tests_fail(copy: Copy, mutation: Mutation) -> bool:
    nearest = ["tests/domain"] if mutation.file.startswith("limits/domain/") else []
    tests = dict.fromkeys([*nearest, *FAST_TESTS])
    command = [sys.executable, "-m", "pytest", *tests, "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    environment = os.environ | {"NO_SHRINKING": "1", "DATABASE_URL": copy.database}
    tried = subprocess.run(
        command, cwd=copy.place, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    if tried.returncode not in (0, 1):
        raise SystemExit(tried.stdout[-2_000:] + tried.stderr[-2_000:])
    return tried.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
