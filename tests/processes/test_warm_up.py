"""A starting process loads the rules before its first answer."""

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from pytest_django import Settings

from ratelimit_enforcer.engine import get_engine
from ratelimit_platform.embedded.redis import RedisServer
from ratelimit_platform.startup import warm_up
from tests.engine.rules import simple
from tests.support.servers import Store


@pytest.fixture
def server(redis_server: Callable[..., RedisServer], settings: Settings) -> RedisServer:
    server, namespace = redis_server(), f"test-{secrets.token_hex(4)}"
    Store(server.url, namespace).publish(simple(3))
    settings.RATELIMIT_PLATFORM = {"REDIS": server.url, "NAMESPACE": namespace, "CHECK_DEADLINE": 0.05}
    return server


def test_a_store_that_is_slow_at_startup_is_awaited(server: RedisServer) -> None:
    server.pause()
    threading.Timer(0.3, server.resume).start()
    assert warm_up(timeout=60)
    assert get_engine().current


def test_a_process_starts_without_its_store(server: RedisServer) -> None:
    server.kill()
    began = time.monotonic()
    assert not warm_up(timeout=0.2)
    assert time.monotonic() - began < 30
    assert get_engine().current is None


def test_a_web_worker_excludes_long_lived_objects_from_garbage_collection() -> None:
    """In a separate process, as started by granian: a full collection traverses few objects."""
    program = (
        "import gc; import ratelimit_platform.wsgi; frozen = gc.get_freeze_count(); "
        "print(frozen > 100_000, len(gc.get_objects()) < frozen / 10)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "True True\n"
