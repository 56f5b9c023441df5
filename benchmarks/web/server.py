"""The web server, as ``make web`` starts it, with the views of the benchmark; no database is asked."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.lines import BASE_DIR
from ratelimit_platform.embedded.redis import free_port
from tests.support.web import WebServer, outer_environment

WORKERS = 2


@contextmanager
def web_server(redis_url: str, folder: Path) -> Iterator[WebServer]:
    """One that answers; two workers. Ends it afterwards."""
    (folder / "static").mkdir()
    port = free_port()
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "error"),
        *("--workers-kill-timeout", "6"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)),
        *("--http", "1", "--blocking-threads", "64", "--backlog", "2048", "--backpressure", "4096"),
        *("--http1-header-read-timeout", "10000", "--http1-buffer-size", "65536"),
        "ratelimit_platform.wsgi:application",
    ]
    environment = outer_environment() | environment_of(redis_url, folder)
    server = WebServer(f"http://127.0.0.1:{port}", subprocess.Popen(command, cwd=BASE_DIR, env=environment))
    try:
        yield server.wait_until_it_answers()
    finally:
        server.stop()


def environment_of(redis_url: str, folder: Path) -> dict[str, str]:
    """The platform's settings by environment."""
    return {
        "DJANGO_SETTINGS_MODULE": "benchmarks.web.settings",
        "REDIS_URL": redis_url,
        "DATABASE_URL": "postgresql:///unused",
        "DATA_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS": "0",
        "CHECK_DEADLINE": "10",
    }
