"""A concurrency limit over several servers, whose views count what is in progress."""

import functools
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack

import httpx
import pytest
from pytest_django import Settings

from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from tests.api.conftest import serve
from tests.support.servers import Store
from tests.support.waiting import wait_until
from tests.throttling.granian import Server, serving
from tests.throttling.reserving import left
from tests.throttling.served import AT_MOST, IN_PROGRESS, MAY_END, TOO_MANY, WORKERS

pytestmark = pytest.mark.xdist_group("views-on-servers")

NAMESPACE = "views-on-servers"
CONNECTIONS = 64
SHORT, LONG = 2, 600
FOREVER = "100000"


def rules(window: int) -> Ruleset:
    at_most = Limit(AT_MOST, window, Algorithm.CONCURRENCY)
    return Ruleset(
        plans=(Plan("free", "Free"),),
        default_plan="free",
        endpoints=(Endpoint("reports", "Reports"),),
        policies=(Policy("reports", (at_most,), endpoint="reports"),),
    )


@pytest.fixture
def place(redis_url: str, settings: Settings) -> Store:
    """A platform with at most five requests in progress, for up to ten minutes. Another epoch in each test, because the
    servers keep the rules of the test before."""
    store = Store(redis_url, NAMESPACE, epoch=secrets.token_hex(4))
    store.redis.flushall()
    serve(settings, store)
    store.publish(rules(LONG))
    store.load()
    return store


Started = Callable[[str], Sequence[Server]]


@pytest.fixture(scope="module")
def lasting(redis_url: str) -> Iterator[Started]:
    """Returns two servers with this interface, for all tests that neither stop nor restart a server."""
    with ExitStack() as stack:
        yield functools.cache(lambda interface: [stack.enter_context(running(redis_url, interface)) for _ in range(2)])


def running(redis_url: str, interface: str, workers: int = 2) -> AbstractContextManager[Server]:
    variables = {"REDIS_URL": redis_url, "NAMESPACE": NAMESPACE}
    return serving(f"tests.throttling.served:{interface}", interface, workers=workers, **variables)


def free() -> int:
    """The number of free places."""
    (number,) = left("ann", "reports")
    return number


def in_progress(place: Store) -> int:
    return int(place.redis.get(IN_PROGRESS) or 0)


@pytest.mark.parametrize(
    ("interface", "view"), [("wsgi", "Report"), ("wsgi", "report"), ("asgi", "Report"), ("asgi", "later")]
)
def test_never_six_are_in_progress_and_all_are_served(
    place: Store, lasting: Started, interface: str, view: str
) -> None:
    servers = lasting(interface)
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(timeout=60, limits=httpx.Limits(max_connections=CONNECTIONS)))

        def ask(number: int) -> int:
            """The number of denials until the request was served."""
            denials = 0
            while True:
                answer = http.get(f"{servers[number % 2].url}/{view}", headers={"X-Key": "ann"})
                if answer.status_code == 200:
                    return denials
                assert answer.status_code == 429
                denials += 1

        pool = stack.enter_context(ThreadPoolExecutor(CONNECTIONS))
        denials = list(pool.map(ask, range(2 * CONNECTIONS)))
        assert sum(denials) > 0, "The limit was never reached."
        assert place.redis.get(TOO_MANY) is None
        wait_until(lambda: free() == AT_MOST)


def test_a_killed_worker_holds_its_places_for_one_window(place: Store, lasting: Started) -> None:
    place.publish(rules(SHORT))
    other, _ = lasting("wsgi")
    with ExitStack() as stack:
        server = stack.enter_context(running(place.url, "wsgi", workers=1))
        pool = stack.enter_context(ThreadPoolExecutor(AT_MOST))

        def hold(_: int) -> None:
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{server.url}/report?seconds={FOREVER}", headers={"X-Key": "ann"}, timeout=60)

        held = [pool.submit(hold, number) for number in range(AT_MOST)]
        wait_until(lambda: in_progress(place) == AT_MOST)
        (worker,) = map(int, place.redis.smembers(WORKERS))
        os.kill(worker, signal.SIGKILL)
        for each in held:
            each.result()
        place.redis.delete(IN_PROGRESS)
        wait_until(lambda: free() == AT_MOST)
        assert httpx.get(f"{other.url}/report", headers={"X-Key": "ann"}).status_code == 200


@pytest.mark.parametrize(
    ("interface", "view"),
    [
        ("wsgi", "stream"),
        ("wsgi", "Stream"),
        ("asgi", "stream_async"),
        ("asgi", "Stream?async=1"),
        ("asgi", f"later?seconds={FOREVER}"),
        ("asgi", f"report?seconds={FOREVER}"),
        ("asgi", f"Report?seconds={FOREVER}"),
    ],
)
def test_a_client_that_disconnects_frees_its_place(place: Store, lasting: Started, interface: str, view: str) -> None:
    """Long before the window ends; a sync view first runs to its end."""
    server, _ = lasting(interface)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"GET /{view} HTTP/1.1\r\nHost: localhost\r\nX-Key: ann\r\n\r\n".encode())
        if "seconds" in view:
            wait_until(lambda: in_progress(place) == 1)
        else:
            assert connection.recv(1)
        assert free() == AT_MOST - 1
    place.redis.rpush(MAY_END, "now")
    wait_until(lambda: free() == AT_MOST)
