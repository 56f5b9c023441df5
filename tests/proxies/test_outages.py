"""Proxies whose platform does not answer, or whose platform has no Redis, with the documented configurations."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ratelimit_platform.embedded.redis import RedisServer
from tests.proxies.application import Application, running_application
from tests.proxies.conftest import NAMESPACE, SETTINGS, port_of, publish
from tests.proxies.proxies import KINDS, PROXIES, Kind, all_proxies
from tests.proxies.sending import Answer, send
from tests.support.servers import Store
from tests.support.web import running_servers, start_web_server

pytestmark = [pytest.mark.xdist_group("proxies-in-outages"), pytest.mark.django_db(transaction=True)]

Statuses = dict[Kind, int]
STOPPED: Statuses = {("nginx", False): 500, ("caddy", False): 502, ("envoy", False): 503}
SILENT: Statuses = {("nginx", False): 500, ("caddy", False): 504, ("envoy", False): 503}


@pytest.fixture
def application() -> Iterator[Application]:
    with running_application() as application:
        yield application


def expected(statuses: Statuses) -> Statuses:
    """The documented statuses; the proxies that admit pass the request on."""
    return {kind: statuses.get(kind, 200) for kind in KINDS}


def asked(ports: dict[Kind, int], target: str) -> dict[Kind, Answer]:
    return {kind: send(port, target, method="POST", body=b"once") for kind, port in ports.items()}


def test_a_stopped_platform(application: Application, tmp_path: Path, redis_url: str) -> None:
    store = Store(redis_url, NAMESPACE)
    store.redis.flushall()
    publish(store)
    server = start_web_server(**SETTINGS).wait_until_it_answers()
    with all_proxies(port_of(server), application.server_port, tmp_path) as ports:
        before = asked(ports, "/orders/7")
        assert {answer.headers.get("ratelimit-policy") for answer in before.values()} >= {
            '"free-orders:3600s";q=5;w=3600'
        }
        server.stop()
        application.received.clear()

        answers = asked(ports, "/orders/7")

    assert {kind: answer.status for kind, answer in answers.items()} == expected(STOPPED)
    assert not any("ratelimit" in answer.headers for answer in answers.values())
    assert [request.body for request in application.received] == [b"once"] * len(PROXIES)


def test_a_silent_platform(application: Application, tmp_path: Path) -> None:
    """The connection is accepted, and nothing is answered."""
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, all_proxies(silent.getsockname()[1], application.server_port, tmp_path) as ports:
        began = time.monotonic()
        answers = asked(ports, "/orders/7")
        took = time.monotonic() - began

    assert {kind: answer.status for kind, answer in answers.items()} == expected(SILENT)
    assert took < 3 * len(KINDS)


def test_an_error_of_the_application_is_not_sent_to_it_twice(application: Application, tmp_path: Path) -> None:
    """Proxies that admit requests must not take an error of the application for one of the platform."""
    with (
        running_servers(1, **SETTINGS) as (server,),
        all_proxies(port_of(server), application.server_port, tmp_path) as ports,
    ):
        application.ends = True

        answers = asked(ports, "/elsewhere")

    assert {kind: answer.status for kind, answer in answers.items()} == {
        kind: 503 if kind[0] == "envoy" else 502 for kind in KINDS
    }
    assert len(application.received) == len(KINDS)


def test_a_wrong_token_is_no_outage(application: Application, tmp_path: Path, redis_url: str) -> None:
    publish(Store(redis_url, NAMESPACE))
    running = running_servers(1, **SETTINGS)
    with (
        running as (server,),
        all_proxies(port_of(server), application.server_port, tmp_path, token="rl_wrong") as ports,
    ):
        answers = asked(ports, "/orders/7")

    assert {kind: answer.status for kind, answer in answers.items()} == dict.fromkeys(KINDS, 401)
    assert not application.received


def test_without_redis_the_policies_decide_and_not_the_proxy(
    application: Application, tmp_path: Path, redis_server: Callable[..., RedisServer]
) -> None:
    redis = redis_server()
    publish(Store(redis.url, NAMESPACE))
    variables = SETTINGS | {"REDIS_URL": redis.url, "CHECK_DEADLINE": "0.2"}
    with (
        running_servers(1, **variables) as (server,),
        all_proxies(port_of(server), application.server_port, tmp_path) as ports,
    ):
        redis.kill()
        locally = {kind: send(port, "/search").status for kind, port in ports.items()}
        denied = {kind: send(port, "/paid") for kind, port in ports.items()}

    assert set(locally.values()) <= {200, 429}
    assert 200 in locally.values()
    # Envoy takes a 503 for a failure of the platform, as the document says.
    assert {kind: answer.status for kind, answer in denied.items()} == {
        kind: 200 if kind == ("envoy", True) else 503 for kind in KINDS
    }
    for (name, _), answer in denied.items():
        assert ("retry-after" in answer.headers) == (name != "envoy")
