"""The real servers that the tests use. Loaded as a pytest plugin, before Django's settings.

All test processes share one PostgreSQL server, with a separate database for each. Each test process has a
separate Redis, because tests empty it. ``DATABASE_URL`` in the environment selects another PostgreSQL
server; everything else is started in a temporary folder, and stopped at the end of the tests.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import psycopg
import pytest

from ratelimit_platform.embedded.postgres import database_url, start_postgres
from ratelimit_platform.embedded.redis import RedisServer
from ratelimit_platform.running.processes import RUN_VARIABLE, end_run

_FOLDER = Path(tempfile.mkdtemp(prefix="ratelimit-tests-"))
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
_REDIS = RedisServer(_FOLDER / "redis")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Starts the servers, and sets the environment variables that the settings read."""
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    os.environ.setdefault("ALLOWED_HOSTS", "localhost,127.0.0.1,testserver")
    os.environ["HTTPS"] = "0"
    if not _IS_WORKER:
        os.environ[RUN_VARIABLE] = secrets.token_hex(8)
        os.environ["DATA_DIR"] = str(_FOLDER / "data")
        if "DATABASE_URL" not in os.environ:
            os.environ["DATABASE_URL"] = _own_postgres()
    os.environ["REDIS_URL"] = _REDIS.start().url
    if not _IS_WORKER:
        _collect_static_files()


def _own_postgres() -> str:
    """The URL of a server without ``fsync``: its data survive killed processes, but not a power failure."""
    url = database_url(start_postgres(_FOLDER / "postgres"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def _collect_static_files() -> None:
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Empties Redis after the tests of a file. Otherwise hundreds of keys of each test remain, and every test that
    searches its keys reads all of them: a tenth of a second for each search after a thousand tests."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            with _REDIS.client as redis:
                redis.flushall()


def pytest_unconfigure() -> None:
    """Ends all processes that the tests started and left running."""
    _REDIS.stop()
    if not _IS_WORKER:
        end_run(os.environ[RUN_VARIABLE])
    shutil.rmtree(_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The URL of the Redis of this test process."""
    return os.environ["REDIS_URL"]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts further Redis servers, for tests that stop, kill or empty theirs."""
    started: list[RedisServer] = []

    def start(**options: object) -> RedisServer:
        server = RedisServer(tmp_path / f"redis-{len(started)}", **options)  # type: ignore[arg-type]
        started.append(server.start())
        return server

    yield start
    for server in started:
        server.kill()
