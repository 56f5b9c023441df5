"""A caller may wait for less than the engine's deadline, and affects no other caller by that."""

import time
from collections.abc import Callable, Iterator

import pytest

from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store import deadline as deadline_module
from ratelimit_enforcer.store.connections.server import ServerConnections
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import simple
from tests.support.servers import Store
from tests.support.waiting import wait_until

SEARCH = CheckRequest("acme", "search")
LONG, SHORT = 60.0, 0.02


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> Iterator[RedisServer]:
    server = redis_server()
    yield server
    server.resume()


@pytest.fixture
def store(server: RedisServer) -> Store:
    store = Store(server.url, "own")
    store.publish(simple(1_000_000))
    store.load()
    return store


@pytest.fixture
def engine(store: Store) -> Engine:
    engine = store.engine(deadline=LONG)
    assert not engine.check(SEARCH).degraded
    return engine


def connections(engine: Engine) -> ServerConnections:
    found = engine._decider._connections
    assert isinstance(found, ServerConnections)
    return found


def charge(engine: Engine, seconds: float) -> bool:
    try:
        engine.charge(SEARCH, 1, deadline=seconds)
    except StoreUnavailable:
        return True
    return False


CALLS: dict[str, Callable[[Engine, float], bool]] = {
    "check": lambda engine, seconds: engine.check(SEARCH, deadline=seconds).degraded,
    "cost": lambda engine, seconds: engine.check_cost_out_of_range(SEARCH, 0, deadline=seconds).degraded,
    "batch": lambda engine, seconds: all(
        decision.degraded for decision in engine.check_in_order([SEARCH] * 150, deadline=seconds)
    ),
    "charge": charge,
}
"""Each returns whether the store did not decide."""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_caller_waits_for_a_hanging_store_until_the_callers_deadline(
    call: Callable[[Engine, float], bool], engine: Engine, server: RedisServer
) -> None:
    assert not call(engine, LONG / 2)
    server.pause()
    began = time.monotonic()
    assert call(engine, SHORT)
    assert time.monotonic() - began < LONG / 4


def test_the_engines_deadline_applies_where_the_caller_would_wait_longer(store: Store, server: RedisServer) -> None:
    engine = store.engine(deadline=0.2)
    assert not engine.check(SEARCH).degraded
    server.pause()
    began = time.monotonic()
    assert engine.check(SEARCH, deadline=LONG).degraded
    assert time.monotonic() - began < LONG / 4


@pytest.mark.parametrize("seconds", [-1.0, 0.0])
def test_a_caller_whose_time_is_over_is_answered_without_the_store_which_counts_nothing(
    seconds: float, engine: Engine, store: Store
) -> None:
    remaining = engine.check(SEARCH, consume=False).limits[0].remaining
    assert engine.check(SEARCH, deadline=seconds).degraded
    assert engine.check(SEARCH, consume=False).limits[0].remaining == remaining
    assert not connections(engine).outages.trips


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_caller_that_waits_too_short_a_time_degrades_no_other_caller(
    is_connected: bool, engine: Engine, server: RedisServer
) -> None:
    wait_until(lambda: not engine._fallback._beating.locked())
    if not is_connected:
        connections(engine).drop_connections()
    server.pause()
    assert engine.check(SEARCH, deadline=SHORT).degraded
    server.resume()
    wait_until(lambda: not connections(engine)._suspecting.locked())
    assert not engine.check(SEARCH).degraded
    assert not connections(engine).outages.trips


def test_a_hanging_store_opens_the_breaker_even_if_all_callers_wait_for_a_short_time(
    engine: Engine, server: RedisServer
) -> None:
    server.pause()
    assert engine.check(SEARCH, deadline=SHORT).degraded
    wait_until(lambda: connections(engine).outages.is_open)
    server.resume()
    wait_until(lambda: not connections(engine).outages.is_open)
    assert not engine.check(SEARCH, deadline=LONG / 2).degraded


class Clock:
    """The clock of deadlines, which a test can advance."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


def test_the_time_that_preparing_a_batch_takes_counts_for_the_caller(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for one check; without a deadline of the caller, each round trip has the engine's own."""
    clock = Clock()
    monkeypatch.setattr(deadline_module, "time", clock)

    def work(_: Ruleset) -> None:
        clock.ahead += 2.0

    decisions = engine.check_in_order([SEARCH] * 150, guard=work, deadline=3.0)
    assert [decision.degraded for decision in decisions] == [False] * 100 + [True] * 50
