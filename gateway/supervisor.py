"""The parent of the gateway's processes: holds the listening sockets, replaces processes that end, and restarts all of
them without refusing a connection.

The sockets stay open in the parent, so that connections wait in their queues while processes are replaced.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

STOP_SECONDS = 9.0
"""Seconds for a process to drain before it is killed."""
START_SECONDS = 30.0
RESPAWN_PAUSE = 0.5
STEP_SECONDS = 0.1
END_STEP_SECONDS = 0.02


@dataclass
class Worker:
    """A process, and the two pipes to it: it writes to ``ready`` when it serves, and ends when ``lifeline`` closes.
    ``ends``: when to kill it, by ``time.monotonic()``."""

    process: "subprocess.Popen[bytes]"
    ready: int
    lifeline: int
    ends: float

    serves: bool = False

    def look(self) -> None:
        """Updates ``serves``."""
        with suppress(BlockingIOError):
            self.serves = self.serves or os.read(self.ready, 1) != b""

    def has_ended(self) -> bool:
        """Whether the process has ended; if so, closes the pipes."""
        if self.process.poll() is None:
            return False
        os.close(self.ready)
        os.close(self.lifeline)
        return True

    def end(self) -> None:
        """Asks the process to end, and sets the time for it."""
        self.process.terminate()
        self.ends = time.monotonic() + STOP_SECONDS


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``OSError``, for example if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # As those of the web server: all addresses of IPv6 include those of IPv4.
    listener = socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=host == "::")
    listener.setblocking(False)
    return listener


class Supervisor:
    """Runs ``command`` in ``count`` processes, which get the numbers of the ``listeners``' descriptors, of the pipe to
    report readiness, and of the pipe that closes when the supervisor ends, as further arguments."""

    def __init__(self, command: Sequence[str], listeners: Sequence[socket.socket], count: int) -> None:
        self._command = command
        self._listeners = listeners
        self._count = count
        self._workers: list[Worker] = []
        self._next: list[Worker] = []
        """Those that start, to replace all workers."""
        self._former: list[Worker] = []
        """Those that drain."""
        self._stops = self._reloads = self._has_served = False
        self._status = 0

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT; SIGHUP replaces all processes. Returns the exit status: 1 if a process ended
        before any of them served, as with a wrong setting."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._reload)
        self._workers = self._start_all()
        try:
            while not self._stops:
                self._step()
                time.sleep(STEP_SECONDS)
        finally:
            self._end_all()
        return self._status

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stops = True

    def _reload(self, number: int, frame: FrameType | None) -> None:
        self._reloads = True

    def _start_all(self) -> list[Worker]:
        return [self._start() for _ in range(self._count)]

    def _start(self) -> Worker:
        (ready, to_ready), (from_lifeline, lifeline) = os.pipe(), os.pipe()
        os.set_blocking(ready, False)
        listeners = [listener.fileno() for listener in self._listeners]
        inherited = [*listeners, to_ready, from_lifeline]
        command = [sys.executable, *self._command, *map(str, inherited)]
        process = subprocess.Popen(command, pass_fds=inherited)  # noqa: S603 - no part comes from a caller
        os.close(to_ready)
        os.close(from_lifeline)
        return Worker(process, ready, lifeline, time.monotonic() + START_SECONDS)

    def _step(self) -> None:
        """Never waits, so that a signal to end is obeyed at once."""
        for worker in (*self._workers, *self._next):
            worker.look()
        self._has_served = self._has_served or any(worker.serves for worker in self._workers)
        self._replace_ended()
        if self._reloads and not self._next and not self._stops:
            self._reloads = False
            self._next = self._start_all()
        if self._next:
            self._replace_all()
        self._former = _still_running(self._former)

    def _replace_ended(self) -> None:
        ended = [worker for worker in self._workers if worker.has_ended()]
        for worker in ended:
            _report(f"A gateway process ended with status {worker.process.returncode}.")
        if ended and not self._has_served:
            self._stops, self._status = True, 1
        elif ended:
            time.sleep(RESPAWN_PAUSE)
            for worker in ended:
                self._workers[self._workers.index(worker)] = self._start()

    def _replace_all(self) -> None:
        """Ends the earlier processes once all new ones serve. If a new one does not, the earlier ones stay."""
        if all(worker.serves for worker in self._next):
            former, self._workers = self._workers, self._next
        elif any(worker.process.poll() is not None or time.monotonic() > worker.ends for worker in self._next):
            _report("The new processes did not start; those that were running continue.")
            former = self._next
        else:
            return
        self._next = []
        for worker in former:
            worker.end()
        self._former += former

    def _end_all(self) -> None:
        running = _still_running([*self._workers, *self._next])
        for worker in running:
            worker.end()
        running += self._former
        while running := _still_running(running):
            time.sleep(END_STEP_SECONDS)


def _still_running(workers: Sequence[Worker]) -> list[Worker]:
    """Those that have not ended; kills those whose time is over."""
    for worker in workers:
        if time.monotonic() > worker.ends:
            worker.process.kill()
            worker.process.wait()
    return [worker for worker in workers if not worker.has_ended()]


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
