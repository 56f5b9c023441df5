"""HTTP requests to addresses that were checked: never to the platform's own network.

A name is resolved once, each of its addresses is checked, and the connection is made to the checked address, so that a
later answer of the name server has no effect (DNS rebinding). Redirects are not followed, and the certificate is always
verified against the name.
"""

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from limits.domain.webhook_addresses import Address, address_problem, scheme_problem, url_problem
from ratelimit_enforcer.conf import networks

CONNECT_SECONDS, ANSWER_SECONDS, TOTAL_SECONDS = 3.0, 5.0, 10.0


class NotDelivered(Exception):
    """A message was not delivered; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; ``body`` contains at most the number of bytes that were asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(method: str, url: str, body: bytes, headers: Mapping[str, str], max_bytes: int = 0) -> Answer:
    """Sends one request and returns the response, whatever its status, with at most ``max_bytes`` of its body (0: the
    body is not waited for). Raises :class:`NotDelivered` for a URL or
    address that may not be used, and if there is no complete response in time."""
    if message := url_problem(url, networks("WEBHOOK_ALLOWED_NETWORKS")):
        raise NotDelivered(f"The URL {message}")
    parts = urlsplit(url)
    address = _checked_address(parts)
    try:
        with _connection(parts, address) as connection, _total_timeout(connection):
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            with _response(connection, parts, method, body, headers) as response:
                content = response.read(max_bytes) if max_bytes else b""
                return Answer(response.status, dict(response.getheaders()), content)
    except (OSError, HTTPException) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error


def check_status(status: int) -> None:
    """Raises :class:`NotDelivered` unless the status is from 200 to 299."""
    if not 200 <= status < 300:
        redirect = " (redirects are not followed)" if 300 <= status < 400 else ""
        raise NotDelivered(f"The server responded with status {status}{redirect}.")


def _checked_address(parts: SplitResult) -> Address:
    """Returns the address to connect to. Every address of a name has to be allowed, because the owner of the
    name decides which of them a later lookup would return."""
    allowed = networks("WEBHOOK_ALLOWED_NETWORKS")
    addresses = _addresses_of(parts.hostname or "")
    for address in addresses:
        if message := address_problem(address, allowed) or scheme_problem(parts.scheme, address, allowed):
            raise NotDelivered(f"The URL {message}")
    return addresses[0]


def _addresses_of(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(f"Host name {host} not found: {error}") from error
    # IPv6 addresses may carry a zone.
    return [ip_address(str(place[4][0]).partition("%")[0]) for place in found]


def _connection(parts: SplitResult, address: Address) -> socket.socket:
    """Connects to the address itself, without resolving the name again; TLS is verified against the name."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    plain = socket.create_connection((str(address), port), CONNECT_SECONDS)
    plain.settimeout(ANSWER_SECONDS)
    if parts.scheme == "http":
        return plain
    context = ssl.create_default_context()
    return context.wrap_socket(plain, server_hostname=parts.hostname, do_handshake_on_connect=False)


@contextmanager
def _total_timeout(connection: socket.socket) -> Iterator[None]:
    """Closes the connection after a while: the timeout of a socket restarts with every byte, and a server
    that sends one byte now and then would delay all other messages. Raises ``TimeoutError`` then."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TOTAL_SECONDS, end)
    timer.start()
    too_late = TimeoutError(f"no complete response within {TOTAL_SECONDS:g} s")
    try:
        yield
    except (OSError, HTTPException) as error:
        if is_over.is_set():
            raise too_late from error
        raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise too_late


def _response(
    connection: socket.socket, parts: SplitResult, method: str, body: bytes, headers: Mapping[str, str]
) -> HTTPResponse:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    client = HTTPConnection(parts.hostname or "", parts.port)
    client.sock = connection
    client.request(method, target, body, {"Host": parts.netloc, **headers})
    return client.getresponse()
