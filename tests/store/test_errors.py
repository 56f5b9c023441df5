"""The error replies of Redis that are outages, in every form in which redis-py wraps them."""

from collections.abc import Callable

import pytest
from redis import Redis, exceptions

from ratelimit_enforcer.store.errors import StoreUnavailable, is_outage, translating_redis_errors
from ratelimit_platform.embedded.redis import RedisServer


@pytest.fixture
def fenced(redis_server: Callable[..., RedisServer]) -> Redis:
    """A server that rejects writes because it has no replicas."""
    server = redis_server()
    server.client.config_set("min-replicas-to-write", 1)
    return server.client


def test_the_error_reply_to_a_command(fenced: Redis) -> None:
    with pytest.raises(StoreUnavailable), translating_redis_errors():
        fenced.set("a", 1)


@pytest.mark.parametrize("transaction", [True, False])
def test_the_error_reply_within_a_pipeline(fenced: Redis, transaction: bool) -> None:
    with pytest.raises(StoreUnavailable), translating_redis_errors():
        fenced.pipeline(transaction=transaction).set("a", 1).set("b (of pipeline)\n", 1).execute()


def test_the_error_reply_within_a_script(fenced: Redis) -> None:
    script = "return redis.call('SET', KEYS[1], 1)"
    with pytest.raises(StoreUnavailable), translating_redis_errors():
        fenced.eval(script, 1, "a")
    with pytest.raises(StoreUnavailable), translating_redis_errors():
        fenced.pipeline(transaction=False).eval(script, 1, "a").execute()


@pytest.mark.parametrize(
    "message",
    [
        "WRONGTYPE Operation against a key",
        "ERR value is not an integer",
        "ERR the word BUSY in the middle",
        "BUSYKEY Target",
    ],
)
def test_an_error_in_our_own_command_is_no_outage(message: str) -> None:
    assert not is_outage(exceptions.ResponseError(message))
    assert not is_outage(exceptions.ResponseError(f"Command # 1 (GET a) of pipeline caused error: {message}"))
