"""The documented configuration of Traefik. It is not run: the requests of these tests have the form that the source of
Traefik 3.7.13 describes (pkg/middlewares/auth/forward.go, function writeHeader)."""

from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.proxies.conftest import BLOCKED, KEY, port_of
from tests.proxies.documented import block, replaced
from tests.proxies.proxies import TOKEN
from tests.proxies.sending import Answer, send
from tests.support.servers import Store
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
