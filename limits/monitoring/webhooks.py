"""Webhooks: a signed POST to an address that was judged, and to no other.

The signature is that of Standard Webhooks (https://www.standardwebhooks.com), for which there are
libraries in most languages; ``docs/usage-and-alerts.md`` checks it in a few lines.
"""

import base64
import hmac
import socket
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson
import urllib3
from django.core.exceptions import ImproperlyConfigured

from limits.conf import networks, setting
from limits.domain.webhooks import Address, address_problem, scheme_problem, url_problem

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 5.0
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
    """Connects to the address itself, and not to its name again; TLS is checked against the name."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
    try:
        with _pool(parts, address, timeout) as pool:
            answer = pool.urlopen(
                "POST", target, body=body, headers=headers, redirect=False, retries=False, preload_content=False
            )
            answer.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    if not 200 <= answer.status < 300:
        redirect = ", a redirect, which is not followed" if 300 <= answer.status < 400 else ""
        raise NotDelivered(f"It answered {answer.status}{redirect}.")


def _pool(parts: SplitResult, address: Address, timeout: urllib3.Timeout) -> urllib3.HTTPConnectionPool:
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(str(address), parts.port, timeout=timeout)
    return urllib3.HTTPSConnectionPool(
        str(address),
        parts.port,
        timeout=timeout,
        cert_reqs="CERT_REQUIRED",
        server_hostname=parts.hostname,
        assert_hostname=parts.hostname,
    )
