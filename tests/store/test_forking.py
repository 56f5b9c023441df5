"""A forked child shares no lock, thread, socket or random id with its parent."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import ratelimit_platform.urls  # noqa: F401  (imports everything whose state a process may hold)
from limits.monitoring.prometheus import instruments
from limits.store.advice import Advisor
from limits.store.client import ClusterClient
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import Kind, Location, parse
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import Keys
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import simple
from tests.support.forking import holds_in_child
from tests.support.owned import owned, shared
from tests.support.servers import Store
from tests.support.waiting import wait_until

SEARCH = CheckRequest("acme", "search")
CHILD_SECONDS = 60


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def engine(server: RedisServer) -> Engine:
    """An engine that has decided both with and without the store."""
    store = Store(server.url, "own")
    store.publish(simple(1_000_000))
    store.load()
    engine = store.engine()
    engine.check(SEARCH)
    server.kill()
    engine.check(SEARCH)
    server.start()
    store.publish(simple(1_000_000))
    store.load()
    wait_until(lambda: not engine.check(SEARCH).degraded)
    return engine


def everything(engine: Engine, url: str) -> list[Any]:
    """An engine, and the other kinds of objects that a process may hold."""
    where = ("127.0.0.1", 1)
    cluster = Location(Kind.CLUSTER, parse(url).connection_class, {}, (where,))
    sentinel = Location(Kind.SENTINEL, parse(url).connection_class, {}, (where,), "mymaster")
    connections = [store_connections_of(location, 2, Keys("own")) for location in (cluster, sentinel)]
    return [engine, *connections, ClusterClient(cluster, 1.0), Advisor(url), instruments()]


def test_a_child_has_its_own_locks_sockets_and_random_generators(engine: Engine, server: RedisServer) -> None:
    objects = everything(engine, server.url)
    before = owned(objects)
    kinds = {type(each).__name__ for each in before}
    assert {"lock", "RLock", "Condition", "socket", "Random", "poll"} <= kinds
    assert holds_in_child(lambda: not _told(shared(before, objects)))


def _told(ways: list[str]) -> list[str]:
    for way in ways:
        print("A forked child still has", way)
    return ways


def test_a_child_decides_although_locks_were_held_in_its_parent(engine: Engine, server: RedisServer) -> None:
    objects = everything(engine, server.url)
    locks = [each for each in owned(objects) if hasattr(each, "acquire")]
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        taken = [lock for lock in locks if lock.acquire(blocking=False)]
        locked.set()
        done.wait()
        for lock in taken:
            lock.release()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait()
    try:
        assert holds_in_child(lambda: _decides(engine))
    finally:
        done.set()
        holder.join()


def _decides(engine: Engine) -> bool:
    """Decides with the store, as a batch, as a peek, and without the store. A held lock ends the child."""
    signal.alarm(CHILD_SECONDS)
    assert not engine.check(SEARCH).degraded
    assert len(engine.check_in_order([SEARCH] * 3)) == 3
    assert engine.peek_client("acme").decision
    assert engine.readiness().ready
    engine._rulesets._state = None
    return not engine.check(SEARCH).degraded


def test_heartbeats_count_each_forked_worker_as_a_process(engine: Engine) -> None:
    """Otherwise each would decide with too large a local share while the store is unavailable."""
    heartbeats = engine._fallback._heartbeats
    heartbeats.beat(Deadline(10))
    for number in (2, 3):
        assert holds_in_child(lambda number=number: heartbeats.beat(Deadline(10)).processes == number)
