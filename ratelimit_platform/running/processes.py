"""The processes of one run: started together, ended together, and never left behind.

Every process carries the name of its run in its environment, and so do the ones that it starts.
So whoever ends the run finds all of them, whatever became of their parents.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

RUN_VARIABLE = "RATELIMIT_RUN"
ENDS_WITHIN = 5.0
"""Seconds that processes get to end by themselves."""

MAX_ENDS, ENDS_COUNT_FOR = 3, 60.0
"""A process that ends so often within so many seconds is not started again."""

STORES = ("postgres", "redis-server", "valkey-server")


class Part:
    """One process of the run, its lines printed with its name before them."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = dict(environment)
        self._ends: list[float] = []
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
            # A Ctrl-C in the terminal is for the supervisor, which ends its parts in order.
            start_new_session=True,
        )
        threading.Thread(target=self._print_lines, args=(self.process,), daemon=True).start()

    def _print_lines(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stdout or ():
            print(f"{self.name:7} | {line.rstrip()}", flush=True)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def start_again(self) -> bool:
        """Starts it again after it ended. False: it has ended too often for that."""
        now = time.monotonic()
        self._ends = [end for end in self._ends if end > now - ENDS_COUNT_FOR] + [now]
        if len(self._ends) >= MAX_ENDS:
            return False
        with suppress(ProcessLookupError):
            # What it started and left behind.
            os.killpg(self.process.pid, signal.SIGKILL)
        self._start()
        return True


class Store:
    """A store that the run started; it keeps a log of its own."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._process = psutil.Process(pid)

    @property
    def ended(self) -> bool:
        return not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE


def end_run(run: str) -> None:
    """Ends every process of a run but this one: first those that use the stores, then the stores."""
    others = [process for process in _processes_of(run) if process.pid != os.getpid()]
    stores = [process for process in others if _name(process) in STORES]
    _end([process for process in others if process not in stores], signal.SIGTERM)
    # SIGINT is PostgreSQL's fast shutdown; for Redis it is as good as SIGTERM.
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
    _, alive = psutil.wait_procs(processes, timeout=ENDS_WITHIN)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=ENDS_WITHIN)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return
