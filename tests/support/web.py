"""Real web servers of the platform, started as by `make web`."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
from django.db import connection

from ratelimit_platform.embedded.redis import free_port
from tests.support.forked import Forked

BASE_DIR = Path(__file__).resolve().parents[2]
ANSWERS_WITHIN = 60.0
STDOUT, STDERR = 1, 2


@dataclass
class WebServer:
    """One granian process with its workers."""

    url: str
    process: "subprocess.Popen[bytes] | Forked"

    def wait_until_it_answers(self) -> "WebServer":
        """Waits for an answer of ``/healthz``, which a server without rules gives too."""
        end = time.monotonic() + ANSWERS_WITHIN
        while not self._answers():
            assert self.process.poll() is None, "The web server ended; its lines above say why."
            assert time.monotonic() < end, "The web server did not answer in time."
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @property
    def workers(self) -> list[psutil.Process]:
        """The present worker processes, without the resource tracker of ``multiprocessing``."""
        return [child for child in psutil.Process(self.process.pid).children() if _is_worker(child)]

    def stop(self) -> None:
        workers = self.workers
        self.process.terminate()
        # A worker that is still starting ignores the signal.
        _, alive = psutil.wait_procs([psutil.Process(self.process.pid), *workers], timeout=1)
        for process in alive:
            process.kill()
        self.process.wait()


def start_web_server(workers: int = 1, **variables: str) -> WebServer:
    """Starts a server with this test's database and Redis, unless ``variables`` of its environment
    override them. The caller has to wait until it answers."""
    port = free_port()
    return serve(port, environment_of_test(WEB_WORKERS=str(workers), **variables))


def serve(port: int, environment: dict[str, str]) -> WebServer:
    """Starts a server on a local port, with this environment."""
    environment = environment | {"HOST": "127.0.0.1", "PORT": str(port)}
    process = Forked(["-m", "ratelimit_platform.web"], environment, output=STDOUT, errors=STDERR)
    return WebServer(f"http://127.0.0.1:{port}", process)


@contextmanager
def running_servers(count: int, *, workers: int = 1, **variables: str) -> Iterator[list[WebServer]]:
    """``count`` servers that already answer, and are stopped at the end of the block."""
    servers = [start_web_server(workers, **variables) for _ in range(count)]
    try:
        yield [server.wait_until_it_answers() for server in servers]
    finally:
        for server in servers:
            server.stop()


def environment_of_test(**variables: str) -> dict[str, str]:
    """The environment of a process with this test's database and Redis. The deadline is long, because Redis may be
    slow on a busy machine; tests of the deadline set ``CHECK_DEADLINE``."""
    patient = {"CHECK_DEADLINE": "10", "PYTHONWARNINGS": "default"}
    return outer_environment() | {"DATABASE_URL": _test_database_url()} | patient | variables


def outer_environment() -> dict[str, str]:
    """The environment of the tests, without the variable that a browser in this process needs."""
    return {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}


def _test_database_url() -> str:
    parts = urlsplit(os.environ["DATABASE_URL"])
    return parts._replace(path=f"/{quote(connection.settings_dict['NAME'])}").geturl()


def _is_worker(process: psutil.Process) -> bool:
    """The only other long-lived child of the server is the resource tracker of ``multiprocessing``, if workers are
    spawned instead of forked. A child that has ended has no command line."""
    with suppress(psutil.Error):
        words = process.cmdline()
        return bool(words) and not any("resource_tracker" in word for word in words)
    return False
