"""One connection: a command is sent once, and its reply is complete or an error."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import pytest
from redis import Connection
from redis.exceptions import NoScriptError, ResponseError

from ratelimit_enforcer.store.connections.opening import connector
from ratelimit_enforcer.store.connections.pool import BoundedPool, RawConnection, opened
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AnswerLost, StoreUnavailable
from ratelimit_platform.embedded.redis import RedisServer


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def connection(server: RedisServer) -> Iterator[RawConnection]:
    with opened(parse(server.url).connection, Deadline(10)) as connection:
        yield connection


def test_a_connection_that_is_garbage_closes_before_its_socket_is(server: RedisServer) -> None:
    connection = RawConnection(connector(parse(server.url).connection))
    connection.open(Deadline(10))
    opened_by_redis_py = connection.connection
    sock = opened_by_redis_py._sock
    connection.generation = [connection]  # type: ignore[assignment]
    del connection
    gc.collect()
    assert sock.fileno() == -1


def test_a_reply_in_many_pieces(connection: RawConnection) -> None:
    value = bytes(range(256)) * 20_000
    assert connection.execute(("SET", "large", value), Deadline(10)) == b"OK"
    assert connection.execute(("GET", "large"), Deadline(10)) == value
    assert connection.is_usable


@pytest.mark.parametrize(
    ("command", "kind", "message"),
    [
        (("EVALSHA", "0" * 40, 0), NoScriptError, "No matching script"),
        (("NONSENSE",), ResponseError, "unknown command"),
    ],
)
def test_an_error_reply_raises_the_exception_of_redis_py_and_keeps_the_connection(
    connection: RawConnection, command: tuple[str | int, ...], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        connection.execute(command, Deadline(10))
    assert connection.is_usable
    assert connection.execute(("ECHO", "still here"), Deadline(10)) == b"still here"


def test_nothing_is_sent_after_the_deadline(connection: RawConnection, server: RedisServer) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        connection.execute(("SET", "a", 1), Deadline(0))
    assert not isinstance(caught.value, AnswerLost)
    with server.client as redis:
        assert redis.get("a") is None


def test_a_missing_reply_raises_that_the_command_may_have_run(connection: RawConnection, server: RedisServer) -> None:
    server.pause()
    with pytest.raises(AnswerLost, match="TimeoutError"):
        connection.execute(("SET", "a", 1), Deadline(0.05))
    server.resume()


def test_a_closed_connection_is_detected_before_and_after_sending(server: RedisServer) -> None:
    with opened(parse(server.url).connection, Deadline(10)) as connection:
        connection.execute(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), Deadline(10))
        assert connection._poll.poll(5_000)
        assert not connection.is_usable
        with pytest.raises(AnswerLost):
            connection.execute(("PING",), Deadline(10))


def test_an_unsolicited_reply_makes_a_connection_unusable(connection: RawConnection) -> None:
    assert connection.is_usable
    connection.connection.send_command("PING")
    assert connection._poll.poll(5_000)
    assert not connection.is_usable


def test_a_pool_serves_many_threads_with_few_connections(server: RedisServer) -> None:
    pool = BoundedPool(connector(parse(server.url).connection), 3)
    seen: set[RawConnection] = set()

    def count(_: object) -> int:
        connection = pool.acquire(Deadline(30))
        try:
            if not connection.is_usable:
                connection.open(Deadline(10))
            seen.add(connection)
            return int(connection.execute(("INCR", "n"), Deadline(10)))
        finally:
            pool.release(connection)

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(count, range(2_000))) == list(range(1, 2_001))
    assert len(seen) <= 3
    pool.drop_all()


def test_dropping_closes_idle_connections_immediately_and_others_on_release(server: RedisServer) -> None:
    pool = BoundedPool(connector(parse(server.url).connection), 2)
    used, idle = (pool.acquire(Deadline(1)) for _ in repeat(None, 2))
    used.open(Deadline(10))
    idle.open(Deadline(10))
    pool.release(idle)
    pool.drop_all()
    assert not idle.is_usable
    assert used.execute(("PING",), Deadline(10)) == b"PONG"
    pool.release(used)
    assert used not in (pool.acquire(Deadline(1)), pool.acquire(Deadline(1)))
    assert not used.is_usable
    with pytest.raises(StoreUnavailable, match="in use"):
        pool.acquire(Deadline(0.01))


def test_a_connection_that_cannot_be_opened_leaves_the_pool_usable(server: RedisServer) -> None:
    made = iter([ValueError("no such certificate"), parse(server.url).connection()])

    def make() -> Connection:
        found = next(made)
        if isinstance(found, Exception):
            raise found
        return found

    pool = BoundedPool(connector(make), 1)
    connection = pool.acquire(Deadline(1))
    with pytest.raises(ValueError, match="certificate"):
        connection.open(Deadline(10))
    pool.release(connection)
    connection = pool.acquire(Deadline(1))
    connection.open(Deadline(10))
    assert connection.is_usable
    connection.close()
