"""Webhooks: a signed POST to an address that was judged, and to no other.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com), for which there are
libraries in most languages; ``docs/usage-and-alerts.md`` checks it in a few lines.
"""

import base64
import hmac
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson
from django.core.exceptions import ImproperlyConfigured

from limits.conf import networks, setting
from limits.domain.webhooks import Address, address_problem, scheme_problem, url_problem

CONNECT_SECONDS, ANSWER_SECONDS, WHOLE_SECONDS = 3.0, 5.0, 10.0
LEAST_SECRET = 24
"""Bytes."""


class NotDelivered(Exception):
    """A webhook was not delivered; the message says why."""


def post(url: str, payload: Mapping[str, Any], now: datetime) -> None:
    """Sends one message and takes any answer of 200 to 299 for “received”. Raises :class:`NotDelivered`."""
    if message := url_problem(url, networks("WEBHOOK_ALLOWED_NETWORKS")):
        raise NotDelivered(f"The address {message}")
    parts = urlsplit(url)
    body = orjson.dumps(payload)
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "User-Agent": "ratelimit-platform",
        **signature(str(payload["id"]), now, body),
    }
    _post(parts, _judged_address(parts), body, headers)


def signature(message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers that show that a message is ours and fresh. Raises ``ImproperlyConfigured``."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(secret(), signed, sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def secret() -> bytes:
    """The key that signs. Raises ``ImproperlyConfigured`` where the setting holds none."""
    prefix, _, text = str(setting("WEBHOOK_SECRET")).partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or len(key) < LEAST_SECRET:
        raise ImproperlyConfigured(f"WEBHOOK_SECRET must be “whsec_” and at least {LEAST_SECRET} bytes in base64.")
    return key


def _judged_address(parts: SplitResult) -> Address:
    """The address to connect to. Every address of a name has to be allowed: which of them a later look-up
    would give is for its owner to say."""
    allowed = networks("WEBHOOK_ALLOWED_NETWORKS")
    addresses = _addresses_of(parts.hostname or "")
    for address in addresses:
        if message := address_problem(address, allowed) or scheme_problem(parts.scheme, address, allowed):
            raise NotDelivered(f"The address {message}")
    return addresses[0]


def _addresses_of(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(f"The name {host} was not found: {error}") from error
    # IPv6 addresses may carry a zone.
    return [ip_address(str(place[4][0]).partition("%")[0]) for place in found]


def _post(parts: SplitResult, address: Address, body: bytes, headers: Mapping[str, str]) -> None:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with _connection(parts, address) as connection, _cut_off(connection):
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            status = _status(connection, parts, target, body, headers)
    except (OSError, HTTPException) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        redirect = ", a redirect, which is not followed" if 300 <= status < 400 else ""
        raise NotDelivered(f"It answered {status}{redirect}.")


def _connection(parts: SplitResult, address: Address) -> socket.socket:
    """To the address itself, and not to its name again; TLS is checked against the name."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    plain = socket.create_connection((str(address), port), CONNECT_SECONDS)
    plain.settimeout(ANSWER_SECONDS)
    if parts.scheme == "http":
        return plain
    context = ssl.create_default_context()
    return context.wrap_socket(plain, server_hostname=parts.hostname, do_handshake_on_connect=False)


@contextmanager
def _cut_off(connection: socket.socket) -> Iterator[None]:
    """Ends the connection after a while: the time limits of a socket begin anew with every byte, and
    who sends one now and then would hold up all the others. Raises ``TimeoutError`` then."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(WHOLE_SECONDS, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError(f"no whole answer within {WHOLE_SECONDS:g} s")


def _status(connection: socket.socket, parts: SplitResult, target: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Sends the request and reads the head of the answer; what follows is of no interest."""
    client = HTTPConnection(parts.hostname or "", parts.port)
    client.sock = connection
    client.request("POST", target, body, dict(headers))
    return client.getresponse().status
