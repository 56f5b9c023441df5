"""The web server, started as by ``make web``, with the views of the benchmark; uses no database."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ratelimit_platform.embedded.redis import free_port
from tests.support.web import WebServer, outer_environment, serve

WORKERS = 2


@contextmanager
def web_server(redis_url: str, folder: Path) -> Iterator[WebServer]:
    """A server with two workers that already answers; stopped at the end of the block."""
    (folder / "static").mkdir()
    server = serve(free_port(), outer_environment() | environment_of(redis_url, folder))
    try:
        yield server.wait_until_it_answers()
    finally:
        server.stop()


def environment_of(redis_url: str, folder: Path) -> dict[str, str]:
    """Environment variables with the platform's settings."""
    return {
        "DJANGO_SETTINGS_MODULE": "benchmarks.web.settings",
        "REDIS_URL": redis_url,
        "DATABASE_URL": "postgresql:///unused",
        "DATA_DIR": str(folder),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS": "0",
        "WEB_WORKERS": str(WORKERS),
        "CHECK_DEADLINE": "10",
    }
