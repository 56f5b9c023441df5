"""Real servers of a Django project."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ratelimit_platform.embedded.redis import free_port
from tests.support.forked import Forked
from tests.support.waiting import wait_until
from tests.support.web import STDERR, STDOUT, outer_environment

INTERFACES = {"wsgi": "wsgi", "asgi": "asginl"}
"""Django has no lifespan."""

BASE_DIR = Path(__file__).resolve().parents[2]


@dataclass
class Server:
    """One granian process with its workers."""

    port: int
    process: Forked

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        assert self.process.poll() is None, "The server ended; its lines above say why."
        try:
            return httpx.get(f"{self.url}/nothing", timeout=10).status_code == 404
        except httpx.TransportError:
            return False


@contextmanager
def serving(target: str, interface: str, *, workers: int = 2, path: str = "", **variables: str) -> Iterator[Server]:
    """A server of the application that the function ``target`` returns, stopped at the end of the block. ``path``:
    a folder with modules of its own."""
    port = free_port()
    command = [
        *("-m", "granian", "--interface", INTERFACES[interface], "--factory", "--no-ws", "--log-level", "warning"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers), "--workers-kill-timeout", "6"),
        *(["--blocking-threads", "16"] if interface == "wsgi" else []),
        target,
    ]
    environment = outer_environment() | {"PYTHONPATH": f"{BASE_DIR}:{path}"} | variables
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    process = Forked(command, environment, output=STDOUT, errors=STDERR)
    server = Server(port, process)
    try:
        wait_until(server.answers)
        yield server
    finally:
        process.terminate()
        process.wait()
