"""One deadline applies to all steps of a check, and only waiting for the store opens the breaker."""

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store import deadline as deadline_module
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.pool import opened
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.connections.server import ServerConnections, StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StillConnecting, StoreUnavailable
from ratelimit_enforcer.store.keys import Keys
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import simple
from tests.support.servers import Store
from tests.support.slow import slow_server
from tests.support.waiting import wait_until

TIMEOUT = 60
LONG = 10.0
STEP = 0.5
SEARCH = CheckRequest("acme", "search")


def connections_to(url: str) -> StoreConnections:
    return store_connections_of(parse(url), 4, Keys("own"))


def ping(connections: StoreConnections, seconds: float) -> Any:
    return connections.execute("PING", key="", deadline=Deadline(seconds))


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


# -- connecting


def tls(folder: Path) -> tuple[ssl.SSLContext, str]:
    """The TLS context of a server, and the URL query with which a client trusts it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return context, f"?ssl_ca_certs={folder / 'ca.pem'}"


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_login_of_many_steps_has_one_deadline(scheme: str, tmp_path: Path) -> None:
    """Previously each step got the whole deadline: AUTH, two CLIENT SETINFO and SELECT took four times as long."""
    context, query = tls(tmp_path) if scheme == "rediss" else (None, "")
    with slow_server(STEP, context) as slow:
        connections = connections_to(f"{scheme}://:secret@127.0.0.1:{slow.port}/1{query}")
        with pytest.raises(StillConnecting):
            ping(connections, 1.2 * STEP)
        assert slow.answered < 4
        # The second call neither waits nor opens another connection.
        with pytest.raises(StillConnecting, match="longer than the deadline"):
            ping(connections, LONG)
        assert slow.connections == 1
        assert not connections.outages.trips
        slow.end_delay()
        wait_until(lambda: _answers(connections))
        assert slow.connections == 1


def _answers(connections: StoreConnections) -> bool:
    try:
        return bool(ping(connections, LONG) == b"OK")
    except StillConnecting:
        return False


def test_a_login_that_never_ends_opens_the_breaker() -> None:
    with slow_server(TIMEOUT) as slow:
        connections = connections_to(f"redis://:secret@127.0.0.1:{slow.port}/1")
        with pytest.raises(StillConnecting):
            ping(connections, 0.05)
        wait_until(lambda: connections.outages.is_open)
        with pytest.raises(StoreUnavailable, match="known to be unavailable"):
            ping(connections, LONG)


# -- name lookups


class Resolver:
    """The system's name lookup; for one name a test can block it or make it fail."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.fails = False
        self.asked: Counter[int] = Counter()
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "store.test":
            return self._real(host, *arguments, **options)
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "Not numeric.")
        self.asked[int(arguments[0])] += 1
        self.goes_on.wait()
        if self.fails:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._real("127.0.0.1", *arguments, **options)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.goes_on.set()


@pytest.mark.parametrize(
    "url",
    ["redis://store.test:{port}", "redis+sentinel://store.test:{port}/mymaster/0", "redis+cluster://store.test:{port}"],
)
def test_no_check_waits_for_a_name_lookup(url: str, resolver: Resolver, server: RedisServer) -> None:
    resolver.goes_on.clear()
    connections = connections_to(url.format(port=server.port))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ping, connections, 0.05)
        with pytest.raises(StoreUnavailable):
            asked.result(TIMEOUT)
    assert not resolver.goes_on.is_set()
    resolver.goes_on.set()


def test_one_lookup_runs_at_a_time_and_its_result_is_used(resolver: Resolver, server: RedisServer) -> None:
    resolver.goes_on.clear()
    connections = connections_to(f"redis://store.test:{server.port}")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            ping(connections, 0.05)
    wait_until(lambda: connections.outages.is_open)
    assert resolver.asked[server.port] == 1
    resolver.goes_on.set()
    wait_until(lambda: not connections.outages.is_open)
    assert ping(connections, LONG) == b"PONG"


@pytest.mark.parametrize("failure", ["hangs", "fails"])
def test_if_the_lookup_fails_the_last_known_address_is_used(
    failure: str, resolver: Resolver, server: RedisServer
) -> None:
    connections = connections_to(f"redis://store.test:{server.port}")
    assert ping(connections, LONG) == b"PONG"
    resolver.fails = failure == "fails"
    if failure == "hangs":
        resolver.goes_on.clear()
    asked = resolver.asked[server.port]
    assert isinstance(connections, ServerConnections)
    connections.drop_connections()
    assert ping(connections, LONG) == b"PONG"
    assert resolver.asked[server.port] == asked + 1
    assert not connections.outages.trips


# -- work of the process itself


class Clock:
    """The clock of deadlines, which a test can advance, as if the process had been suspended for that time."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline_module, "time", clock)
    return clock


def test_a_reply_that_has_arrived_is_read_after_the_deadline(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply arrives in several pieces, and the process is suspended between them."""
    value = b"x" * 100_000
    with opened(parse(server.url).connection, Deadline(LONG)) as connection:
        connection.execute(("SET", "large", value), Deadline(LONG))
        times = iter([0.0, 1.0])

        def monotonic() -> float:
            """The last reading is far beyond the deadline, after the reply has arrived."""
            if (now := next(times, 1_000.0)) == 1_000.0:
                assert connection._poll.poll(TIMEOUT * 1_000)
            return now

        monkeypatch.setattr(deadline_module, "time", SimpleNamespace(monotonic=monotonic))
        assert connection.execute(("GET", "large"), Deadline(LONG)) == value


@pytest.fixture
def engine(server: RedisServer) -> Engine:
    store = Store(server.url, "own")
    store.publish(simple(1_000_000))
    store.load()
    engine = store.engine(deadline=LONG)
    engine.check(SEARCH)
    return engine


@pytest.mark.parametrize("batch", [False, True])
def test_slow_work_of_the_process_neither_degrades_a_check_nor_opens_the_breaker(
    batch: bool, engine: Engine, clock: Clock
) -> None:
    def work(_: Ruleset) -> None:
        clock.ahead += 2 * LONG

    checked = engine.check_in_order([SEARCH] * 3, guard=work) if batch else [engine.check(SEARCH, guard=work)]
    assert not any(decision.degraded for decision in checked)
    assert not engine._fallback._outages.trips


def test_preparing_a_batch_does_not_reduce_the_time_for_the_store(
    engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, given = engine._decider.decide_in_order, []

    def spy(requests: Any, deadline: Deadline, verb: Any) -> Any:
        given.append(deadline.remaining())
        return decide(requests, deadline, verb)

    def work(_: Ruleset) -> None:
        clock.ahead += 0.9 * LONG

    monkeypatch.setattr(engine._decider, "decide_in_order", spy)
    engine.check_in_order([SEARCH] * 3, guard=work)
    assert given[0] > LONG / 2


def test_a_store_that_got_little_time_does_not_open_the_breaker(
    engine: Engine, clock: Clock, server: RedisServer
) -> None:
    """The breaker opens at the next check, which leaves the store enough time."""
    engine._deadline = 0.2
    server.pause()

    def work(_: Ruleset) -> None:
        clock.ahead += 0.15

    try:
        assert engine.check(SEARCH, guard=work).degraded
        assert not engine._fallback._outages.trips
        assert engine.check(SEARCH).degraded
        wait_until(lambda: engine._fallback._outages.trips == 1)
    finally:
        server.resume()


def test_a_check_ends_even_if_the_process_is_slow_again_and_again(engine: Engine, clock: Clock) -> None:
    """The extra time after the deadline is granted once."""
    deadline = Deadline(LONG)
    clock.ahead += 2 * LONG
    assert 0 < deadline.remaining() <= LONG / 10
    clock.ahead += 2 * LONG
    with pytest.raises(StoreUnavailable, match="within the deadline"):
        deadline.remaining()


def test_no_check_waits_for_a_heartbeat(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, is_over = threading.Event(), threading.Event()
    beat = engine._fallback._heartbeats.beat

    def slow(deadline: Deadline) -> Any:
        goes_on.wait(TIMEOUT)
        is_over.set()
        return beat(deadline)

    wait_until(lambda: not engine._fallback._beating.locked())
    monkeypatch.setattr(engine._fallback._heartbeats, "beat", slow)
    engine._fallback._next_beat = 0.0
    assert not engine.check(SEARCH).degraded
    assert not is_over.is_set()
    goes_on.set()
    assert is_over.wait(TIMEOUT)
