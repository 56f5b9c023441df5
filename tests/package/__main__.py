"""Tests the package with all compatible versions: ``make matrix``, ``make matrix PYTHON=python3.13``.

The exit status is 1 if a row failed.
"""

import os
import sys
import tempfile
from pathlib import Path

from django.conf import settings

NAMES = ("django", "djangorestframework", "django-redis", "redis")
ROWS = (
    ("4.2", "3.15", "5.4", "5.0"),
    ("4.2", "3.16", "6.0", "6.4"),
    ("5.0", "3.15", "5.4", "5.3"),
    ("5.0", "3.17", "6.0", "7.4"),
    ("5.1", "3.16", "6.0", "6.4"),
    ("5.1", "3.17", "6.0", "7.4"),
    ("5.2", "3.16", "6.0", "6.4"),
    ("5.2", "3.18", "7.0", "8.1"),
    ("6.0", "3.17", "6.0", "7.4"),
    ("6.0", "3.18", "7.0", "8.1"),
    ("6.1", "3.18", "7.0", "8.1"),
)
"""The oldest and newest compatible versions, according to the packages' metadata."""

PYTHONS = {
    "4.2": ((3, 11), (3, 12)),
    "5.0": ((3, 11), (3, 12)),
    "5.1": ((3, 11), (3, 13)),
    "5.2": ((3, 11), (3, 14)),
    "6.0": ((3, 12), (3, 14)),
    "6.1": ((3, 12), (3, 14)),
}
"""Django → the oldest and the newest Python that both Django and this package support."""


def main() -> int:
    """Prints a table, one row at a time."""
    settings.configure()
    from tests.package.environments import Failed, build_wheel, run

    python = os.environ.get("PYTHON") or sys.executable
    version = run(python, "-c", "import platform; print(platform.python_version())").strip()
    series = tuple(map(int, version.split(".")[:2]))
    rows = [row for row in ROWS if PYTHONS[row[0]][0] <= series <= PYTHONS[row[0]][1]]
    print(f"| Python | {' | '.join(NAMES)} | own tests | the framework's tests |\n|{'---|' * 7}", flush=True)
    failures = []
    with tempfile.TemporaryDirectory(prefix="ratelimit-matrix-") as folder:
        wheel = build_wheel(Path(folder))
        for number, row in enumerate(rows):
            try:
                print(f"| {version} | {_run(python, wheel, row, Path(folder) / str(number))} |", flush=True)
            except Failed as error:
                failures.append(error)
                print(f"| | {' | '.join(row)} | failed | |", flush=True)
    for failure in failures:
        print(f"\n{failure}", file=sys.stderr)
    return 1 if failures else 0


def _run(python: str, wheel: Path, row: tuple[str, ...], folder: Path) -> str:
    from ratelimit_platform.embedded.redis import RedisServer
    from tests.package.elsewhere import Elsewhere
    from tests.package.environments import Environment

    folder.mkdir()
    environment = Environment(folder / "environment", python)
    pins = [f"{name}~={version}.0" for name, version in zip(NAMES, row, strict=True)]
    # pytest is imported by the framework's tests.
    environment.install(str(wheel), "pytest", *pins)
    server = RedisServer(folder / "redis").start()
    try:
        elsewhere = Elsewhere(environment, server, folder)
        elsewhere.check()
        own, theirs = elsewhere.run_own_tests(), elsewhere.run_tests_of_the_framework()
    finally:
        server.kill()
    versions = [environment.packages[name] for name in NAMES]
    return f"{' | '.join(versions)} | {own} passed | {theirs} passed"


if __name__ == "__main__":
    sys.exit(main())
