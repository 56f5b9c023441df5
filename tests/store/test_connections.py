"""Connections of the data plane: bounded, reused, and safe with threads, forks and lost connections."""

import gc
import importlib.metadata
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from limits.store.client import control_client_of
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_enforcer.store.keys import Keys
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.forking import holds_in_child
from tests.support.waiting import wait_until

KEYS = Keys("own")
SIZE = 4


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    with server.client as client:
        yield client


@pytest.fixture
def connections(server: RedisServer) -> StoreConnections:
    return store_connections_of(parse(server.url), SIZE, KEYS)


def count(connections: StoreConnections, key: str = "n") -> int:
    return int(connections.execute("INCR", key, key=key, deadline=Deadline(10)))


def opened_so_far(redis: Redis) -> int:
    return int(redis.info("stats")["total_connections_received"])


def test_connections_are_reused_between_requests(connections: StoreConnections, redis: Redis) -> None:
    count(connections)
    before = opened_so_far(redis)
    for _ in range(500):
        count(connections)
    assert opened_so_far(redis) == before


def test_opening_a_connection_reads_no_package_metadata(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    location = parse(server.url)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: pytest.fail(f"The version of {name} was read."))
    assert count(store_connections_of(location, SIZE, KEYS)) == 1
    with control_client_of(location) as client:
        assert client.ping()


def test_the_probe_ends_when_its_connections_are_garbage_collected(server: RedisServer) -> None:
    connections = store_connections_of(parse(server.url), SIZE, KEYS)
    server.kill()
    before = threading.enumerate()
    with pytest.raises(StoreUnavailable):
        count(connections)
    (probing,) = (thread for thread in set(threading.enumerate()) - {*before} if thread.name == "store-probe")
    del connections
    # More than once, because a running probe holds a reference to the connections.
    wait_until(lambda: gc.collect() >= 0 and not probing.is_alive())


def test_threads_share_a_bounded_number_of_connections(connections: StoreConnections, redis: Redis) -> None:
    before = opened_so_far(redis)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: count(connections), range(2_000)))
    assert sorted(answers) == list(range(1, 2_001))
    assert opened_so_far(redis) - before <= SIZE


def test_killed_idle_connections_are_reopened_transparently(connections: StoreConnections, redis: Redis) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: count(connections), range(200)))
        killed = redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        answers = list(pool.map(lambda _: count(connections), range(200)))
    assert killed >= 1
    assert sorted(answers) == list(range(201, 401))


def test_a_command_on_a_connection_killed_meanwhile_fails_and_is_not_resent(
    connections: StoreConnections, redis: Redis
) -> None:
    count(connections)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: connections.execute("BLPOP", "nothing", 30, key="nothing", deadline=Deadline(20)))
        wait_until(lambda: redis.info("clients")["blocked_clients"] == 1)
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        # If the command were sent again, it would wait until the deadline.
        with pytest.raises(StoreUnavailable, match="closed the connection"):
            waiting.result()
    # Redis 8 does not count a command whose client is killed while it waits.
    assert redis.info("commandstats").get("cmdstat_blpop", {"calls": 1})["calls"] == 1
    wait_until(lambda: not connections.outages.is_open)
    assert count(connections) == 2


def test_an_exhausted_pool_fails_at_the_deadline_without_opening_the_breaker(
    connections: StoreConnections, redis: Redis
) -> None:
    with ThreadPoolExecutor(SIZE) as pool:
        waiting = [
            pool.submit(connections.execute, "BLPOP", "list", 30, key="list", deadline=Deadline(30))
            for _ in range(SIZE)
        ]
        wait_until(lambda: redis.info("clients")["blocked_clients"] == SIZE)
        with pytest.raises(StoreUnavailable, match="in use"):
            connections.execute("INCR", "n", key="n", deadline=Deadline(0.05))
        redis.rpush("list", *range(SIZE))
        assert len([future.result() for future in waiting]) == SIZE
    assert not connections.outages.is_open
    assert count(connections) == 1


def test_a_forked_child_shares_neither_connections_nor_breaker(
    connections: StoreConnections, server: RedisServer
) -> None:
    count(connections)
    server.pause()
    with pytest.raises(StoreUnavailable):
        connections.execute("INCR", "m", key="m", deadline=Deadline(0.05))
    server.resume()
    assert holds_in_child(lambda: not connections.outages.is_open and count(connections) >= 2)
    wait_until(lambda: not connections.outages.is_open)
    assert count(connections) >= 3


def test_the_control_plane_reuses_its_connections_too(server: RedisServer, redis: Redis) -> None:
    client = control_client_of(parse(server.url))
    client.set("a", 1)
    before = opened_so_far(redis)
    for _ in range(100):
        client.get("a")
    assert opened_so_far(redis) == before
    redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert client.get("a") == b"1"
    assert holds_in_child(lambda: client.get("a") == b"1")
    client.close()
