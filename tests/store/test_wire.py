"""One connection: a command goes out once, its answer comes back whole or not at all."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import pytest
from redis import Connection
from redis.exceptions import NoScriptError, ResponseError

from limits.store.addresses import parse
from limits.store.connecting import connect_by
from limits.store.deadline import Deadline
from limits.store.errors import AnswerLost, StoreUnavailable
from limits.store.wire import Wire, opened
from limits.store.wire_pool import WirePool
from ratelimit_platform.embedded.redis import RedisServer


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def wire(server: RedisServer) -> Iterator[Wire]:
    with opened(parse(server.url).connection, Deadline(10)) as wire:
        yield wire


def test_an_answer_in_many_pieces(wire: Wire) -> None:
    value = bytes(range(256)) * 20_000
    assert wire.ask(("SET", "large", value), Deadline(10)) == b"OK"
    assert wire.ask(("GET", "large"), Deadline(10)) == value
    assert wire.is_usable


@pytest.mark.parametrize(
    ("command", "kind", "message"),
    [
        (("EVALSHA", "0" * 40, 0), NoScriptError, "No matching script"),
        (("NONSENSE",), ResponseError, "unknown command"),
    ],
)
def test_an_error_is_redis_pys_and_the_connection_stays(
    wire: Wire, command: tuple[str | int, ...], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        wire.ask(command, Deadline(10))
    assert wire.is_usable
    assert wire.ask(("ECHO", "still here"), Deadline(10)) == b"still here"


def test_nothing_is_sent_after_the_deadline(wire: Wire, server: RedisServer) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        wire.ask(("SET", "a", 1), Deadline(0))
    assert not isinstance(caught.value, AnswerLost)
    with server.client as redis:
        assert redis.get("a") is None


def test_no_answer_in_time_says_that_it_may_have_run(wire: Wire, server: RedisServer) -> None:
    server.pause()
    with pytest.raises(AnswerLost, match="TimeoutError"):
        wire.ask(("SET", "a", 1), Deadline(0.05))
    server.resume()


def test_a_closed_connection_is_noticed_before_and_after_sending(server: RedisServer) -> None:
    with opened(parse(server.url).connection, Deadline(10)) as wire:
        wire.ask(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), Deadline(10))
        assert wire._poll.poll(5_000)
        assert not wire.is_usable
        with pytest.raises(AnswerLost):
            wire.ask(("PING",), Deadline(10))


def test_what_nobody_asked_for_makes_a_connection_unusable(wire: Wire) -> None:
    assert wire.is_usable
    wire.connection.send_command("PING")
    assert wire._poll.poll(5_000)
    assert not wire.is_usable


def test_a_pool_serves_everybody_with_few_wires(server: RedisServer) -> None:
    pool = WirePool(connect_by(parse(server.url).connection), 3)
    seen: set[Wire] = set()

    def count(_: object) -> int:
        wire = pool.take(Deadline(30))
        try:
            if not wire.is_usable:
                wire.open(Deadline(10))
            seen.add(wire)
            return int(wire.ask(("INCR", "n"), Deadline(10)))
        finally:
            pool.give_back(wire)

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(count, range(2_000))) == list(range(1, 2_001))
    assert len(seen) <= 3
    pool.forget()


def test_a_pool_forgets_the_idle_at_once_and_the_others_when_they_are_back(server: RedisServer) -> None:
    pool = WirePool(connect_by(parse(server.url).connection), 2)
    used, idle = (pool.take(Deadline(1)) for _ in repeat(None, 2))
    used.open(Deadline(10))
    idle.open(Deadline(10))
    pool.give_back(idle)
    pool.forget()
    assert not idle.is_usable
    assert used.ask(("PING",), Deadline(10)) == b"PONG"
    pool.give_back(used)
    assert used not in (pool.take(Deadline(1)), pool.take(Deadline(1)))
    assert not used.is_usable
    with pytest.raises(StoreUnavailable, match="in use"):
        pool.take(Deadline(0.01))


def test_a_wire_that_cannot_be_opened_takes_no_place(server: RedisServer) -> None:
    made = iter([ValueError("no such certificate"), parse(server.url).connection()])

    def make() -> Connection:
        found = next(made)
        if isinstance(found, Exception):
            raise found
        return found

    pool = WirePool(connect_by(make), 1)
    wire = pool.take(Deadline(1))
    with pytest.raises(ValueError, match="certificate"):
        wire.open(Deadline(10))
    pool.give_back(wire)
    wire = pool.take(Deadline(1))
    wire.open(Deadline(10))
    assert wire.is_usable
    wire.close()
