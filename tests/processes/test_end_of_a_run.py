"""Ending a run by a process that is not the parent of its parts, as the watchdog does."""

import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from ratelimit_platform.running import processes
from tests.support.waiting import wait_until

PARENT = f"""
import os, subprocess, sys
part, run = sys.argv[1:]
environment = os.environ | {{"{processes.RUN_VARIABLE}": run}}
child = subprocess.Popen([sys.executable, "-c", part], env=environment, stdin=subprocess.DEVNULL)
sys.stdin.read()
"""
"""A parent that starts a part of a run, and never waits for it."""

PART = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
DEAF_PART = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PART}"


@pytest.fixture
def run() -> str:
    """A unique name of a run, because these tests may run concurrently."""
    return secrets.token_hex(8)


@pytest.fixture
def started(run: str) -> Iterator[Callable[[str], psutil.Process]]:
    """A function that starts a parent and its part, and returns the part."""
    parents: list[subprocess.Popen[str]] = []

    def start(part: str) -> psutil.Process:
        command = [sys.executable, "-c", PARENT, part, run]
        parents.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert parents[-1].stdout
        return psutil.Process(int(parents[-1].stdout.readline()))

    yield start
    for parent in parents:
        parent.communicate()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """The list of sent signals."""
    numbers: list[signal.Signals] = []
    send = processes._signal

    def keep(process: psutil.Process, number: signal.Signals) -> None:
        numbers.append(number)
        send(process, number)

    monkeypatch.setattr(processes, "_signal", keep)
    return numbers


def test_an_ended_part_is_not_waited_for(
    run: str, started: Callable[[str], psutil.Process], sent: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SHUTDOWN_SECONDS", 60.0)
    part = started(PART)
    processes.end_run(run)
    assert sent == [signal.SIGTERM]
    assert part.status() == psutil.STATUS_ZOMBIE


def test_a_part_that_does_not_end_is_killed(
    run: str, started: Callable[[str], psutil.Process], sent: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SHUTDOWN_SECONDS", 0.5)
    part = started(DEAF_PART)
    processes.end_run(run)
    assert sent == [signal.SIGTERM, signal.SIGKILL]
    wait_until(lambda: part.status() == psutil.STATUS_ZOMBIE)
