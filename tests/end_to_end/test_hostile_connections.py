"""Callers who send slowly, too much, or never end, at a real server; checks go on meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.end_to_end.shop import SECRET, ask
from tests.support.waiting import wait_until
from tests.support.web import WebServer, running_servers

pytestmark = [pytest.mark.xdist_group("hostile-connections"), pytest.mark.django_db(transaction=True)]

CHECKS = 50
TIMEOUT = 60.0
"""Seconds for one answer of a busy machine; without bounds there is none at all."""


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps what is too large for its memory."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def lasting_server(django_db_setup: None, temporary: Path) -> Iterator[WebServer]:
    with running_servers(1, workers=2, TMPDIR=str(temporary)) as [server]:
        yield server


@pytest.fixture
def server(live_rules: None, lasting_server: WebServer) -> WebServer:
    """One that is not busy any more with what the test before has left."""
    with a_connection_each() as http:
        wait_until(lambda: all(http.get(f"{lasting_server.url}/admin/login/").status_code == 200 for _ in range(5)))
    return lasting_server


def a_connection_each() -> httpx.Client:
    """Opens a connection for each request, which any worker may take."""
    headers = {"Authorization": f"Bearer {SECRET}"}
    return httpx.Client(headers=headers, timeout=TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0))


@contextmanager
def connection_to(server: WebServer) -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT) as connection:
        yield connection


def post(path: str, *headers: str, length: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answered_checks(server: WebServer) -> list[int]:
    """Their statuses."""
    with a_connection_each() as http:
        return [ask(http, server, client=f"client-{number}")["status"] for number in range(CHECKS)]


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(65_536).split(b" ", 2)[1])


SLOW = [
    post(
        "/admin/login/",
        "Content-Type: application/x-www-form-urlencoded",
        # Without it the form is refused before anybody reads it.
        f"Cookie: csrftoken={'a' * 32}",
        length=1_000,
    ),
    post("/v1/check", "Content-Type: application/json", f"Authorization: Bearer {SECRET}", length=1_000),
]


@pytest.mark.parametrize("headers", SLOW, ids=["login", "check"])
def test_checks_go_on_while_24_bodies_do_not_arrive(server: WebServer, headers: bytes) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connection_to(server)) for _ in range(24)]
        for connection in slow:
            connection.sendall(headers + b"u")
        assert answered_checks(server) == [200] * CHECKS
        for connection in slow:
            connection.sendall(b"s")
        assert answered_checks(server) == [200] * CHECKS


def test_pages_that_wait_for_slow_bodies_refuse_more_of_them(server: WebServer) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connection_to(server)) for _ in range(80)]
        for connection in slow:
            connection.sendall(SLOW[0] + b"u")
        assert answered_checks(server) == [200] * CHECKS
        # Two workers, sixteen each: the others have been refused.
        for connection in slow:
            connection.setblocking(False)
        answers = [status for connection in slow if (status := _status_if_there(connection))]
        assert len(answers) >= 80 - 2 * 16
        assert set(answers) == {503}


def _status_if_there(connection: socket.socket) -> int | None:
    try:
        return status_of(connection)
    except BlockingIOError:
        return None


LARGE = [
    ("/admin/login/", 300 * 1024 * 1024),
    ("/admin/login/", 64 * 1024 + 1),
    ("/admin/limits/client/import/", 60 * 1024 * 1024),
    ("/admin/limits/client/import/", 300 * 1024 * 1024),
    ("/admin/limits/policy/add/", 3 * 1024 * 1024),
    ("/v1/check", 64 * 1024 + 1),
    ("/v1/check/batch", 4 * 1024 * 1024 + 1),
    ("/v1/clients/acme", 64 * 1024 + 1),
    ("/nothing", 64 * 1024 + 1),
]


def test_large_bodies_of_strangers_are_refused_by_their_length(server: WebServer, temporary: Path) -> None:
    form = "Content-Type: multipart/form-data; boundary=x"
    beginning = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"x" * 30_000
    statuses = {}
    for path, length in LARGE:
        with connection_to(server) as connection:
            connection.sendall(
                post(path, form, f"Cookie: sessionid=unknown; csrftoken={'a' * 32}", length=length) + beginning
            )
            statuses[path, length] = status_of(connection)
    assert statuses == dict.fromkeys(LARGE, 413)
    assert list(temporary.iterdir()) == []


def test_checks_go_on_beside_1200_unfinished_headers(server: WebServer) -> None:
    with ExitStack() as stack:
        for _ in range(1_200):
            stack.enter_context(connection_to(server)).sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        assert answered_checks(server) == [200] * CHECKS


def test_a_body_that_arrives_is_read_as_ever(server: WebServer) -> None:
    """Through every kind of path: a page, a check and a batch."""
    headers = {"Authorization": f"Bearer {SECRET}"}
    check = {"client": "acme", "endpoint": "search"}
    batch = httpx.post(f"{server.url}/v1/check/batch", json={"checks": [check] * 900}, headers=headers, timeout=TIMEOUT)
    assert len(batch.json()["results"]) == 900
    with httpx.Client(base_url=server.url, timeout=TIMEOUT) as browser:
        browser.get("/admin/login/")
        form = {"username": "u" * 100, "password": "p" * 9_000, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        page = browser.post("/admin/login/", data=form)
    assert (page.status_code, "Please enter the correct" in page.text) == (200, True)


def test_http_2_is_not_spoken(server: WebServer) -> None:
    """Its streams would multiply what one connection may ask."""
    with connection_to(server) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert not connection.recv(9).startswith(b"\x00")


def test_headers_are_bounded(server: WebServer) -> None:
    with connection_to(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 100_000)
        assert status_of(connection) == 431
