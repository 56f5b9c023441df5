"""Processes whose processor time is measured."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import psutil

from benchmarks.lines import BASE_DIR
from ratelimit_platform.embedded.redis import free_port

STARTS_WITHIN = 30.0


class Gateway(NamedTuple):
    """A running gateway."""

    pid: int
    http_port: int
    grpc_port: int

    @property
    def check_url(self) -> str:
        """The address of checks."""
        return f"http://127.0.0.1:{self.http_port}/v1/check"


@contextmanager
def gateway(environment: dict[str, str], module: str = "ratelimit_platform.gateway") -> Iterator[Gateway]:
    """A gateway, started as by ``make gateway`` unless ``module`` names another, that already accepts connections."""
    http, grpc = free_port(), free_port()
    ports = {"HOST": "127.0.0.1", "GATEWAY_PORT": str(http), "GATEWAY_GRPC_PORT": str(grpc)}
    command = (sys.executable, "-m", module)
    process = subprocess.Popen(command, cwd=BASE_DIR, env=environment | ports, start_new_session=True)
    try:
        # The socket listens before the processes serve, which answer what waits in its queue.
        until_it_listens(grpc)
        yield Gateway(process.pid, http, grpc)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def until_it_listens(port: int) -> None:
    """Waits until a connection to a local port succeeds."""
    end = time.monotonic() + STARTS_WITHIN
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < end, f"Nothing listens on port {port}."
        time.sleep(0.05)


def processor_seconds(pid: int) -> float:
    """The processor time of a process and its children so far."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)
