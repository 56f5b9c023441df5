"""Connections of store and broker to a Redis with TLS, certificates and a password: both work, or both fail."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from celery.utils.nodenames import default_nodename
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from limits.store.client import control_client_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_platform.broker import default_broker
from ratelimit_platform.embedded.redis import RedisServer, packaged_executable, redis_executable
from tests.support.celery import CeleryProcess, wait_until_a_worker_waits
from tests.support.forked import run_forked
from tests.support.tls import PASSWORD, TlsRedisServer, TlsSentinel, make_certificates
from tests.support.web import environment_of_test

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[TlsRedisServer]:
    if redis_executable() == packaged_executable():
        pytest.skip("The packaged Redis speaks no TLS: apt-get install redis-server")
    server = TlsRedisServer(tmp_path / "redis", make_certificates(tmp_path))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def sentinel(tls_server: TlsRedisServer, tmp_path: Path) -> Iterator[TlsSentinel]:
    sentinel = TlsSentinel(tmp_path / "sentinel", tls_server)
    sentinel.start()
    yield sentinel
    sentinel.kill()


class SocketServer(RedisServer):
    """A Redis on a UNIX socket, in a folder whose name contains special characters of URLs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._socket = folder / "a b#c?.sock"
        self._options = ("--unixsocket", str(self._socket), "--user", "ann", "on", f">{PASSWORD}", "~*", "&*", "+@all")

    @property
    def url(self) -> str:
        return f"unix://ann:{quote(PASSWORD, safe='')}@{quote(str(self._socket))}?db=1"


@pytest.fixture
def socket_server(tmp_path: Path) -> Iterator[SocketServer]:
    server = SocketServer(tmp_path / "socket")
    server.start()
    yield server
    server.kill()


def run(*arguments: str, redis_url: str) -> "subprocess.CompletedProcess[str]":
    return run_forked(arguments, environment_of_test(REDIS_URL=redis_url))


def worker_answers(redis_url: str) -> bool:
    """Pings one worker by its name, because a ping to all workers waits for further answers until its timeout."""
    ping = ("inspect", "ping", "--timeout", "60", "--destination", default_nodename(None))
    return "pong" in run("-m", "celery", "-A", "ratelimit_platform", *ping, redis_url=redis_url).stdout


def works(server: RedisServer, redis_url: str) -> bool:
    """Whether a command can use the store, and a real worker the broker."""
    published = run("manage.py", "publish_ruleset", redis_url=redis_url)
    assert published.returncode == 0, published.stderr
    worker = CeleryProcess("worker", REDIS_URL=redis_url)
    try:
        with server.client as client:
            wait_until_a_worker_waits(client)
        return worker_answers(redis_url)
    finally:
        worker.stop()


def test_tls_with_a_password_and_a_certificate_of_the_client(tls_server: TlsRedisServer) -> None:
    assert works(tls_server, tls_server.url + "&socket_timeout=0.5")


def test_a_master_under_sentinel_with_tls(tls_server: TlsRedisServer, sentinel: TlsSentinel) -> None:
    assert works(tls_server, sentinel.sentinel_url)


def test_a_socket_with_a_user_and_a_password(socket_server: SocketServer) -> None:
    assert works(socket_server, socket_server.url)


def store_error(url: str) -> str:
    with pytest.raises(RedisError) as error, control_client_of(parse(url)) as client:
        client.ping()
    return str(error.value)


def broker_error(url: str) -> str:
    broker = default_broker(url)
    connection = Connection(broker.url, ssl=broker.use_ssl or False, transport_options=broker.transport_options)
    with pytest.raises(OperationalError) as error, connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
    return str(error.value)


@pytest.mark.parametrize("error_of", [store_error, broker_error])
def test_a_server_with_an_untrusted_certificate_is_rejected(tls_server: TlsRedisServer, error_of: object) -> None:
    assert callable(error_of)
    assert "CERTIFICATE_VERIFY_FAILED" in error_of(tls_server.url_without_options)


@pytest.mark.parametrize("error_of", [store_error, broker_error])
def test_a_server_under_another_name_is_rejected(tls_server: TlsRedisServer, error_of: object) -> None:
    assert callable(error_of)
    other_name = tls_server.url.replace("@127.0.0.1:", "@127.0.0.2:")
    tls_server.kill()
    tls_server._options = (*tls_server._options, "--bind", "127.0.0.2", "127.0.0.1")
    tls_server.start()
    assert "CERTIFICATE_VERIFY_FAILED" in error_of(other_name)


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_a_database_number_that_does_not_exist_is_reported_at_startup(redis_url: str, kind: str) -> None:
    result = run("-m", "celery", "-A", "ratelimit_platform", kind, redis_url=redis_url.replace("/0", "/15"))
    assert result.returncode == 1
    assert "The Redis of the message broker has no database 16, the number in CELERY_BROKER_URL" in result.stderr
