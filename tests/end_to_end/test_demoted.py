"""A Redis that temporarily becomes a replica, as in the failover of a hosted Redis."""

from collections.abc import Callable, Iterator

import pytest
from celery import Celery

from ratelimit_platform.embedded.redis import RedisServer
from tests.support.celery import HASTY, CeleryProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def processes(server: RedisServer) -> Iterator[dict[str, CeleryProcess]]:
    started = {kind: CeleryProcess(kind, REDIS_URL=server.url, **HASTY) for kind in ("worker", "beat")}
    yield started
    for process in started.values():
        process.stop()


def test_worker_and_beat_continue_after_the_demotion(server: RedisServer, processes: dict[str, CeleryProcess]) -> None:
    broker = f"redis://127.0.0.1:{server.port}/1"
    with Celery(broker=broker, set_as_current=False) as app, server.client as redis:
        app.conf.broker_transport_options = {"global_keyprefix": "rl:celery:"}

        def works() -> bool:
            return bool(app.control.ping(timeout=1.0, limit=1))

        def taken() -> int:
            """The number of times that the worker has requested a task."""
            return int(redis.info("commandstats").get("cmdstat_brpop", {}).get("calls", 0))

        def interrupted() -> bool:
            """Demotes Redis while the worker waits for a task. Returns False if the worker had just received one."""
            redis.replicaof("NO", "ONE")
            wait_until(lambda: redis.info("clients")["blocked_clients"])
            redis.replicaof("127.0.0.1", 1)
            return "errorstat_UNBLOCKED" in redis.info("errorstats")

        wait_until(lambda: works() and taken() > 1)
        wait_until(interrupted)
        wait_until(lambda: "errorstat_READONLY" in redis.info("errorstats"))
        redis.replicaof("NO", "ONE")
        wait_until(works)
        before = taken()
        # Beat sends tasks repeatedly, and after each of them the worker requests the next.
        wait_until(lambda: taken() > before + 2)
    assert [kind for kind, process in processes.items() if process.process.poll() is not None] == []
