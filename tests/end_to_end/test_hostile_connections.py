"""Callers that send slowly, too much, or without end to a real server, which still answers checks meanwhile."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ratelimit_platform.startup import raise_file_limit
from tests.end_to_end.shop import SECRET, ask
from tests.support.gateway_process import running_gateways
from tests.support.waiting import wait_until
from tests.support.web import WebServer, running_servers

pytestmark = [pytest.mark.xdist_group("hostile-connections"), pytest.mark.django_db(transaction=True)]

CHECKS = 50
TIMEOUT = 60.0
"""Seconds for one answer on a busy machine; without the limits under test there would be no answer at all."""


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for data that the server does not keep in memory."""
    return tmp_path_factory.mktemp("temporary")


RUN = {"web": running_servers, "gateway": running_gateways}
BUSY = {"web": "/admin/login/", "gateway": "/healthz"}
"""An address that needs the threads of pages, or of work other than checks."""


@pytest.fixture(scope="module", params=RUN)
def kind(request: pytest.FixtureRequest) -> str:
    """The type of the process."""
    return str(request.param)


@pytest.fixture(scope="module")
def lasting_server(django_db_setup: None, temporary: Path, kind: str) -> Iterator[WebServer]:
    with RUN[kind](1, workers=2, TMPDIR=str(temporary)) as [server]:
        yield server


@pytest.fixture
def server(live_rules: None, lasting_server: WebServer, kind: str) -> WebServer:
    """A server that is no longer busy with requests of the previous test."""
    with a_connection_each() as http:
        wait_until(lambda: all(http.get(f"{lasting_server.url}{BUSY[kind]}").status_code == 200 for _ in range(5)))
    return lasting_server


@pytest.fixture
def pages(kind: str) -> None:
    """For a test of pages, which the gateway does not have."""
    if kind == "gateway":
        pytest.skip("The gateway has no pages.")


def a_connection_each() -> httpx.Client:
    """A client that opens a new connection for each request, so that any worker may accept it."""
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
    """The statuses of several checks."""
    with a_connection_each() as http:
        return [ask(http, server, client=f"client-{number}")["status"] for number in range(CHECKS)]


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(65_536).split(b" ", 2)[1])


SLOW = [
    post(
        "/admin/login/",
        "Content-Type: application/x-www-form-urlencoded",
        # Without the cookie the form is rejected before it is read.
        f"Cookie: csrftoken={'a' * 32}",
        length=1_000,
    ),
    post("/v1/check", "Content-Type: application/json", f"Authorization: Bearer {SECRET}", length=1_000),
]


@pytest.mark.parametrize("headers", SLOW, ids=["login", "check"])
def test_checks_are_answered_while_24_bodies_do_not_arrive(server: WebServer, headers: bytes) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connection_to(server)) for _ in range(24)]
        for connection in slow:
            connection.sendall(headers + b"u")
        assert answered_checks(server) == [200] * CHECKS
        for connection in slow:
            connection.sendall(b"s")
        assert answered_checks(server) == [200] * CHECKS


def test_the_number_of_pages_that_wait_for_slow_bodies_is_limited(pages: None, server: WebServer) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connection_to(server)) for _ in range(80)]
        for connection in slow:
            connection.sendall(SLOW[0] + b"u")
        assert answered_checks(server) == [200] * CHECKS
        # Two workers accept sixteen each; the others have been rejected.
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


def test_large_unauthenticated_bodies_are_rejected_by_their_length(server: WebServer, temporary: Path) -> None:
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


def test_checks_are_answered_despite_1200_unfinished_headers(server: WebServer) -> None:
    with ExitStack() as stack:
        for _ in range(1_200):
            stack.enter_context(connection_to(server)).sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        assert answered_checks(server) == [200] * CHECKS


def test_complete_bodies_of_batches_are_read_as_usual(server: WebServer) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    check = {"client": "acme", "endpoint": "search"}
    batch = httpx.post(f"{server.url}/v1/check/batch", json={"checks": [check] * 900}, headers=headers, timeout=TIMEOUT)
    assert len(batch.json()["results"]) == 900


def test_complete_bodies_of_pages_are_read_as_usual(pages: None, server: WebServer) -> None:
    with httpx.Client(base_url=server.url, timeout=TIMEOUT) as browser:
        browser.get("/admin/login/")
        form = {"username": "u" * 100, "password": "p" * 9_000, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        page = browser.post("/admin/login/", data=form)
    assert (page.status_code, "Please enter the correct" in page.text) == (200, True)


MANY = {"web": (1_000, 50), "gateway": (10_000, 10)}
"""The number of connections, and the size of a group, in which one has a slow body, one an unfinished header and one is
reset. The web server reads each body in a thread."""


def test_checks_are_answered_despite_thousands_of_silent_connections_slow_bodies_and_resets(
    server: WebServer, kind: str
) -> None:
    raise_file_limit()
    count, group = MANY[kind]
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(connection_to(server))
            if number % group == 0:
                connection.sendall(SLOW[1] + b"u")
            elif number % group == 1:
                connection.sendall(b"GET /heal")
            elif number % group == 2:
                connection.sendall(SLOW[1] + b"u")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
        assert answered_checks(server) == [200] * CHECKS


def test_http_2_is_not_supported(server: WebServer) -> None:
    """With HTTP/2 one connection could send many requests concurrently."""
    with connection_to(server) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert not connection.recv(9).startswith(b"\x00")


def test_the_size_of_headers_is_limited(server: WebServer) -> None:
    with connection_to(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 100_000)
        assert status_of(connection) == 431
