"""A platform that proxies ask about requests to a shop, behind one proxy."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from pytest_django import Settings

from tests.support.gateway import GatewayResponse
from tests.support.servers import Store

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

ADDRESS = "203.0.113.9"
FORWARDED = {"x-forwarded-method": "GET", "x-forwarded-uri": "/api/search?q=tea", "x-forwarded-for": ADDRESS}
ORIGINAL = {"x-original-method": "GET", "x-original-uri": "/api/search?q=tea", "x-forwarded-for": ADDRESS}
HEADERS = {
    "traefik": FORWARDED,
    "caddy": FORWARDED,
    "nginx": ORIGINAL,
    "envoy/api/search?q=tea": {"x-forwarded-for": ADDRESS},
}
"""Address below ``/v1/forward-auth/`` → the headers that the proxy sets."""

Configure = Callable[..., None]


PEER = "127.0.0.2"
"""The address from which the proxy connects."""

Ask = Callable[..., "Response"]
"""The answer to a proxy with these headers. ``method``, ``token``, ``peer``: of the question; names of further headers
are written with underscores."""

Envoy = Callable[..., "Response"]
"""The answer to Envoy about a request for a path."""


def asking(http: Any) -> Ask:
    """A function that sends the questions of proxies with this client."""

    def ask(
        proxy: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        token: str | None = "checker",
        peer: str = PEER,
        **more: str,
    ) -> "Response":
        sent = {**(HEADERS[proxy] if headers is None else headers)}
        sent |= {name.replace("_", "-"): value for name, value in more.items()}
        if token is not None:
            sent["x-ratelimit-token"] = token
        response: Response = http.generic(method, f"/v1/forward-auth/{proxy}", headers=sent, REMOTE_ADDR=peer)
        return response

    return ask


def header_names(response: Any) -> set[str]:
    """The names of the headers without those that every HTTP server adds, and Django's test client does not."""
    added = {"Date", "Content-Length"} if isinstance(response, GatewayResponse) else set()
    return {*response.headers} - added


@pytest.fixture
def ask(http: Any) -> Ask:
    return asking(http)


@pytest.fixture
def ask_web() -> Ask:
    """Asks web only, from any address of a connection."""
    return asking(Client(raise_request_exception=False))


@pytest.fixture
def envoy(ask: Ask) -> Envoy:
    return lambda path, **options: ask(f"envoy{path}", {"x-forwarded-for": ADDRESS}, **options)


@pytest.fixture
def configure(settings: Settings) -> Configure:
    """Changes settings of the platform."""

    def change(**values: object) -> None:
        settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | values

    return change


@pytest.fixture(autouse=True)
def behind_one_proxy(settings: Settings, shop: Store) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
