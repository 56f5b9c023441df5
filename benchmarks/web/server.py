"""The web server, as ``make web`` starts it, with the views of the benchmark; no database is asked."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ratelimit_platform.embedded.redis import free_port
from tests.support.web import WebServer, outer_environment, serve

WORKERS = 2


@contextmanager
def web_server(redis_url: str, folder: Path) -> Iterator[WebServer]:
    """One that answers; two workers. Ends it afterwards."""
    (folder / "static").mkdir()
    server = serve(free_port(), outer_environment() | environment_of(redis_url, folder))
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
        "WEB_WORKERS": str(WORKERS),
        "CHECK_DEADLINE": "10",
    }
