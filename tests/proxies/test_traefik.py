"""The documented configuration of Traefik: in the real Traefik, and by requests of the form that its source describes
(3.7.13, pkg/middlewares/auth/forward.go, function writeHeader)."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.proxies.application import Application
from tests.proxies.conftest import BLOCKED, KEY, port_of
from tests.proxies.documented import block, replaced
from tests.proxies.proxies import TOKEN, running_proxy, traefik
from tests.proxies.sending import Answer, send
from tests.proxies.test_real_proxies import FORGED
from tests.support.servers import Store
from tests.support.waiting import wait_until
from tests.support.web import WebServer

pytestmark = [pytest.mark.xdist_group("traefik"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def whole_quotas(store: Store) -> None:
    """Each test begins with an empty store and the rules."""


@pytest.fixture(scope="module")
def configuration() -> Any:
    return yaml.safe_load(replaced(block("Traefik", "yaml"), {"TOKEN": TOKEN}))["http"]


def ask(platform: WebServer, configuration: Any, uri: str, method: str = "GET", **headers: str) -> Answer:
    """What Traefik sends to the platform for a request with these headers, and the answer."""
    middlewares = configuration["middlewares"]
    sent = {name.lower().replace("_", "-"): value for name, value in headers.items()}
    sent |= {
        name.lower(): value for name, value in middlewares["with-token"]["headers"]["customRequestHeaders"].items()
    }
    forward = middlewares["rate-limit"]["forwardAuth"]
    allowed = {name.lower() for name in forward["authRequestHeaders"]}
    assert forward["trustForwardHeader"] is False
    lines = [f"{name}: {value}" for name, value in sent.items() if name in allowed]
    lines += [
        "X-Forwarded-For: 203.0.113.9",
        f"X-Forwarded-Method: {method}",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Host: shop.example",
        f"X-Forwarded-Uri: {uri}",
        "User-Agent:",
        "Accept-Encoding: gzip",
    ]
    return send(port_of(platform), urlsplit(forward["address"]).path, *lines)


def test_the_middlewares_are_in_order(configuration: Any) -> None:
    assert configuration["routers"]["app"]["middlewares"] == ["with-token", "rate-limit", "without-token"]
    assert configuration["middlewares"]["without-token"]["headers"]["customRequestHeaders"] == {"X-RateLimit-Token": ""}


def test_a_quota_of_three(platform: WebServer, configuration: Any) -> None:
    answers = [ask(platform, configuration, "/search?q=tea", forged="X") for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    copied = [name.lower() for name in configuration["middlewares"]["rate-limit"]["forwardAuth"]["authResponseHeaders"]]
    for answer in answers[:3]:
        assert all(answer.headers[name].startswith('"free-search:3600s"') for name in copied)
    assert 3_590 <= int(answers[3].headers["retry-after"]) <= 3_600
    assert answers[3].json()["client"] == "ip:203.0.113.9"


def test_method_path_and_key(platform: WebServer, configuration: Any, store: Store) -> None:
    posted = ask(platform, configuration, "/orders/7", method="POST")
    assert posted.headers["ratelimit-policy"] == '"free-orders:3600s";q=5;w=3600'
    named = ask(platform, configuration, "/search", x_api_key=KEY)
    assert named.headers["ratelimit-policy"] == '"pro-search:60s";q=100;w=60'
    assert ask(platform, configuration, "/search", x_api_key=BLOCKED).status == 403


def test_the_answer_has_no_header_that_would_change_the_site(platform: WebServer, configuration: Any) -> None:
    """Traefik passes on all headers of a denial."""
    denied = ask(platform, configuration, "/search", x_api_key=BLOCKED)
    of_http = {"content-length", "transfer-encoding", "date", "server", "connection"}
    assert {*denied.headers} - of_http == {"content-type"}


@contextmanager
def running_traefik(folder: Path, platform: int, application: Application) -> Iterator[int]:
    """The port of the real Traefik, which has read its routes."""
    with running_proxy(traefik, folder, platform=platform, application=application.server_port, token=TOKEN) as port:
        wait_until(lambda: send(port, "/elsewhere").status != 404)
        yield port


@pytest.fixture(scope="module")
def port(platform: WebServer, application: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the real Traefik, in front of both."""
    with running_traefik(tmp_path_factory.mktemp("traefik"), port_of(platform), application) as port:
        yield port


def test_the_real_one_admits_three_requests_and_passes_on_the_denial(port: int, application: Application) -> None:
    application.received.clear()

    answers = [send(port, "/search?q=tea") for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].json() == {"method": "GET", "path": "/search?q=tea"}
    left = [request.headers["ratelimit"].partition(";t=")[0] for request in application.received]
    assert left == [f'"free-search:3600s";r={number}' for number in (2, 1, 0)]
    policies = {request.headers["ratelimit-policy"] for request in application.received}
    assert policies == {'"free-search:3600s";q=3;w=3600'}
    denied = answers[3]
    assert 3_590 <= int(denied.headers["retry-after"]) <= 3_600
    assert denied.headers["content-type"] == "application/problem+json"
    assert (denied.json()["client"], denied.json()["endpoint"]) == ("ip:127.0.0.1", "search")


def test_the_application_behind_the_real_one_gets_the_whole_request_and_no_token(
    port: int, application: Application
) -> None:
    application.received.clear()
    headers = ("X-Mine: yes", "Authorization: Bearer mine")

    answer = send(port, "/orders/7?x=1", *headers, method="POST", body=b"a" * 100_000)

    (received,) = application.received
    assert (answer.status, received.headers["ratelimit-policy"]) == (200, '"free-orders:3600s";q=5;w=3600')
    assert (received.method, received.path, received.body) == ("POST", "/orders/7?x=1", b"a" * 100_000)
    assert (received.headers["x-mine"], received.headers["authorization"]) == ("yes", "Bearer mine")
    assert "x-ratelimit-token" not in received.headers


def test_the_real_one_passes_on_the_key(port: int, application: Application) -> None:
    application.received.clear()
    assert send(port, "/search", f"X-API-Key: {KEY}").status == 200
    assert application.received[0].headers["ratelimit-policy"] == '"pro-search:60s";q=100;w=60'
    blocked = send(port, "/search", f"X-API-Key: {BLOCKED}")
    assert (blocked.status, blocked.json()["title"]) == (403, "The client is blocked.")
    assert len(application.received) == 1


@pytest.mark.parametrize("forged", FORGED.values(), ids=[*FORGED])
def test_the_real_one_believes_nothing_that_a_caller_forges(port: int, forged: tuple[str, ...]) -> None:
    answers = [send(port, f"/search?denied=403&n={number}", *forged) for number in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert send(port, "/search").status == 429


@pytest.mark.parametrize("target", ["//search", "/./search", "/x/../search", "/s%65arch", "/search/"])
def test_no_spelling_of_a_path_evades_a_limit_behind_the_real_one(port: int, target: str) -> None:
    answers = [send(port, target).status for _ in range(4)]
    assert answers in ([200, 200, 200, 429], [400] * 4)


def test_the_real_one_answers_500_without_a_platform(application: Application, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with running_traefik(tmp_path, unused.getsockname()[1], application) as port:
            application.received.clear()
            assert send(port, "/search").status == 500
    assert not application.received
