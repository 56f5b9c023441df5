"""The report, with one line for each check."""

import time
from collections.abc import Callable

import httpx

from tests.containers.world import CheckFailed
from tests.support.commands import CommandFailed

EXPECTED = (CheckFailed, CommandFailed, httpx.HTTPError)
"""Exceptions of failed checks. All others are bugs of the test programs, and are raised."""


class Report:
    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, body: Callable[[], str | None]) -> bool:
        """Runs ``body``, which returns details for the report, and prints a line. Returns whether it passed."""
        began = time.monotonic()
        try:
            said, passed = body(), True
        except EXPECTED as error:
            said, passed = f"{type(error).__name__}: {error}", False
        took = time.monotonic() - began
        print(f"{'ok    ' if passed else 'FAILED'} {took:5.1f} s  {name}{f': {said}' if said else ''}", flush=True)
        self.passed += passed
        self.failed += not passed
        return passed

    def close(self) -> int:
        """Prints the totals. Returns the exit status."""
        print(f"\n{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0
