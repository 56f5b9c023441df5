"""The parent of the gateway's processes: holds the listening sockets, replaces processes that end, and restarts all of
them without refusing a connection.

The sockets stay open in the parent, so that connections wait in their queues while processes are replaced.
"""

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

STOP_SECONDS = 9.0
"""Seconds for a process to drain before it is killed."""
START_SECONDS = 30.0
RESPAWN_PAUSE = 0.5


@dataclass
class Worker:
    """A process, and the two pipes to it: it writes to ``ready`` when it serves, and ends when ``lifeline`` closes."""

    process: "subprocess.Popen[bytes]"
    ready: int
    lifeline: int

    def close(self) -> None:
        """Closes the pipes."""
        os.close(self.ready)
        os.close(self.lifeline)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``OSError``, for example if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048, reuse_port=False)
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
        self._stops = self._reloads = False

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT; SIGHUP replaces all processes. Returns the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._reload)
        self._workers = [self._start() for _ in range(self._count)]
        try:
            while not self._stops:
                self._replace_ended()
                if self._reloads:
                    self._replace_all()
                time.sleep(0.1)
        finally:
            _end(self._workers)
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stops = True

    def _reload(self, number: int, frame: FrameType | None) -> None:
        self._reloads = True

    def _start(self) -> Worker:
        (ready, to_ready), (from_lifeline, lifeline) = os.pipe(), os.pipe()
        listeners = [listener.fileno() for listener in self._listeners]
        inherited = [*listeners, to_ready, from_lifeline]
        command = [sys.executable, *self._command, *map(str, inherited)]
        process = subprocess.Popen(command, pass_fds=inherited)  # noqa: S603 - no part comes from a caller
        os.close(to_ready)
        os.close(from_lifeline)
        return Worker(process, ready, lifeline)

    def _replace_ended(self) -> None:
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            print(f"A gateway process ended with status {worker.process.returncode}.", file=sys.stderr, flush=True)
            worker.close()
            time.sleep(RESPAWN_PAUSE)
            if not self._stops:
                self._workers[self._workers.index(worker)] = self._start()

    def _replace_all(self) -> None:
        """Starts new processes, and ends the earlier ones once the new ones serve. If a new one does not, the earlier
        ones stay."""
        self._reloads = False
        new = [self._start() for _ in range(self._count)]
        if all(_is_ready(worker) for worker in new):
            new, self._workers = self._workers, new
        else:
            print("The new processes did not start; those that were running continue.", file=sys.stderr, flush=True)
        _end(new)


def _is_ready(worker: Worker) -> bool:
    """Waits until the process serves; False if it ended or took too long."""
    with selectors.DefaultSelector() as selector:
        selector.register(worker.ready, selectors.EVENT_READ)
        return bool(selector.select(START_SECONDS)) and os.read(worker.ready, 1) != b""


def _end(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    end = time.monotonic() + STOP_SECONDS
    for worker in workers:
        try:
            worker.process.wait(max(end - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        worker.close()
