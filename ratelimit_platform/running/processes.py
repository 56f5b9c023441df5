"""The processes of one run: started together, ended together, and never left behind.

Every process has the name of its run in its environment, which its child processes inherit. So all processes of
a run can be found, even if their parents have ended.

``python -m ratelimit_platform.running.processes RUN`` is the watchdog, which ends a run whose supervisor was killed.
It waits for the end of its standard input, which the supervisor keeps open. However the supervisor ends, the
input is closed.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

RUN_VARIABLE = "RATELIMIT_RUN"
SHUTDOWN_SECONDS = 5.0
"""Seconds for processes to end before they are killed."""

POLL_SECONDS = 0.05

MAX_EXITS, EXIT_WINDOW_SECONDS = 3, 60.0
"""A process that ends this many times within this many seconds is not restarted."""

STORES = ("postgres", "redis-server", "valkey-server")


class RunProcess:
    """One process of the run, whose output lines are printed with its name as a prefix."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = dict(environment)
        self._exits: list[float] = []
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C in the terminal must reach only the supervisor, which stops its parts in order.
            start_new_session=True,
        )
        threading.Thread(target=self._print_lines, args=(self.process,), daemon=True).start()

    def _print_lines(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stdout or ():
            print(f"{self.name:7} | {line.rstrip()}", flush=True)

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def restart(self) -> bool:
        """Restarts the process after it ended. Returns False if it has ended too often."""
        now = time.monotonic()
        self._exits = [exited_at for exited_at in self._exits if exited_at > now - EXIT_WINDOW_SECONDS] + [now]
        if len(self._exits) >= MAX_EXITS:
            return False
        with suppress(ProcessLookupError):
            # Child processes that it left behind.
            os.killpg(self.process.pid, signal.SIGKILL)
        self._start()
        return True


class RunStore:
    """A store that the run started; it writes its own log file."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._process = psutil.Process(pid)

    @property
    def ended(self) -> bool:
        """Whether the server has ended."""
        return _has_ended(self._process)


def end_run(run: str) -> None:
    """Ends every process of a run except this one: first those that use the stores, then the stores."""
    others = [process for process in _processes_of(run) if process.pid != os.getpid()]
    stores = [process for process in others if _name(process) in STORES]
    _end([process for process in others if process not in stores], signal.SIGTERM)
    # SIGINT is PostgreSQL's fast shutdown; for Redis it is equivalent to SIGTERM.
    _end(stores, signal.SIGINT)


def _processes_of(run: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _run_of(process) == run]


def _run_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(RUN_VARIABLE)
    except psutil.Error:
        return None


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def _end(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        _signal(process, number)
    alive = _alive_after_waiting(processes)
    for process in alive:
        _signal(process, signal.SIGKILL)
    _alive_after_waiting(alive)


def _alive_after_waiting(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    end = time.monotonic() + SHUTDOWN_SECONDS
    while alive := [process for process in processes if not _has_ended(process)]:
        if time.monotonic() > end:
            break
        time.sleep(POLL_SECONDS)
    return alive


def _has_ended(process: psutil.Process) -> bool:
    """Whether the process has ended. True for a zombie too, whose parent may itself be waiting for the end of
    the run."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def watch_over_run() -> None:
    """Waits until standard input ends, and then ends the processes of the run that are left."""
    run = sys.argv[1]
    # Removed so that the watchdog is not one of the run's processes: it has to outlive them.
    os.environ.pop(RUN_VARIABLE, None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.read()
    end_run(run)


if __name__ == "__main__":
    watch_over_run()
