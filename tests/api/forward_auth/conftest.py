"""A platform that proxies ask about requests to a shop, behind one proxy."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from pytest_django import Settings

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


def ask(
    proxy: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    token: str | None = "checker",
    peer: str = "192.0.2.1",
    **more: str,
) -> "Response":
    """The answer to a proxy; names of further headers are written with underscores."""
    sent = {**(HEADERS[proxy] if headers is None else headers)}
    sent |= {name.replace("_", "-"): value for name, value in more.items()}
    if token is not None:
        sent["x-ratelimit-token"] = token
    client = Client(raise_request_exception=False, REMOTE_ADDR=peer)
    return client.generic(method, f"/v1/forward-auth/{proxy}", headers=sent)


def envoy(path: str, **options: str) -> "Response":
    """The answer to Envoy about a request for this path."""
    return ask(f"envoy{path}", {"x-forwarded-for": ADDRESS}, **options)  # type: ignore[arg-type]


@pytest.fixture
def configure(settings: Settings) -> Configure:
    """Changes settings of the platform."""

    def change(**values: object) -> None:
        settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | values

    return change


@pytest.fixture(autouse=True)
def behind_one_proxy(settings: Settings, shop: Store) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
