"""A real HTTPS server in place of Slack, Microsoft Teams, PagerDuty and other services.

Their names resolve to this machine, and their port leads to a server with a certificate for the names.
"""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from pytest_django import Settings

from tests.support.hooks import HookServer

SLACK = "https://hooks.slack.com/services/T0000001/B0000001/abcdefghijklmnopqrstuvwx"
PAGERDUTY = "pagerduty://abcdefabcdefabcdefabcdefabcdefab"

HOSTS = (
    "hooks.slack.com",
    "prod-12.westeurope.logic.azure.com",
    "default12ab.d5.environment.api.powerplatform.com",
    "events.pagerduty.com",
    "api.eu.opsgenie.com",
    "discord.com",
    "api.telegram.org",
    "chat.googleapis.com",
    "api.pushover.net",
    "api.ciscospark.com",
)
GETADDRINFO = socket.getaddrinfo


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def service(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> Iterator[HookServer]:
    """The server to which the names of all services lead."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_ALLOWED_NETWORKS": ("127.0.0.1/32",)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(context)
    server = HookServer(context)
    resolve(monkeypatch, ["127.0.0.1"])
    real = socket.create_connection

    def connect(address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        assert address[1] == 443
        return real((address[0], server.port), *arguments, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    yield server
    server.stop()


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Makes name lookups of the services return these answers in turn; returns the list of looked up names."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: Any, *arguments: Any, **options: Any) -> Any:
        if host not in HOSTS:
            return GETADDRINFO(host, port, *arguments, **options)
        asked.append(host)
        answer = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked
