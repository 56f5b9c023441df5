"""Commands of the project, run in forks of a process that has already imported the libraries.

A new process needs 1.5 s for these imports, most of the duration of a command.
"""

import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests.support.fork_server import MOST

BASE_DIR = Path(__file__).resolve().parents[2]
TIMEOUT = 120.0


class Forked:
    """A running command. ``output`` and ``errors``: descriptors of open files; None discards what it prints."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        output: int | None = None,
        errors: int | None = None,
    ) -> None:
        """``arguments``: like those of ``python``."""
        request = {"arguments": list(arguments), "environment": dict(environment), "folder": str(BASE_DIR)}
        data = json.dumps(request).encode()
        assert len(data) <= MOST
        self._answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(os.devnull, "w") as nothing:
            files = (theirs.fileno(), *(nothing.fileno() if each is None else each for each in (output, errors)))
            socket.send_fds(_server(), [data], files)
        self.pid = int(self._answers.recv(MOST))
        self.returncode: int | None = None

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Returns the exit status. Raises ``TimeoutError``."""
        if self.returncode is None:
            self._answers.settimeout(timeout)
            self.returncode = int(self._answers.recv(MOST))
            self._answers.close()
        return self.returncode

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        with suppress(BlockingIOError):
            return self.wait(0)
        return None

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Does nothing if the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def run_forked(arguments: Sequence[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Waits for the end of the command and of all its children. ``arguments``: like those of ``python``."""
    reading, writing = zip(*(os.pipe() for _ in range(2)), strict=True)
    with ThreadPoolExecutor(2) as pool:
        printed = [pool.submit(_text_of, descriptor) for descriptor in reading]
        try:
            process = Forked(arguments, environment, output=writing[0], errors=writing[1])
        finally:
            for descriptor in writing:
                os.close(descriptor)
        try:
            status = process.wait()
            output, errors = (text.result(TIMEOUT) for text in printed)
        except BaseException:
            # The reading threads end when no process that the command started has the pipes open.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess([*arguments], status, output, errors)


def _text_of(descriptor: int) -> str:
    with open(descriptor) as file:
        return file.read()


@functools.cache
def _server() -> socket.socket:
    """The connection to the fork server. The server ends when the connection does, however this process ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())]
        process = subprocess.Popen(command, cwd=BASE_DIR, pass_fds=[theirs.fileno()])
    atexit.register(_end, process, ours)
    return ours


def _end(process: "subprocess.Popen[bytes]", connection: socket.socket) -> None:
    connection.close()
    process.wait(TIMEOUT)
