"""The liveness probes of worker and beat, with a real worker, a real Redis, and the commands of the manifests."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from ratelimit_platform.beat import MAX_TICK_AGE_SECONDS
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.celery import CeleryProcess, wait_until_a_worker_waits
from tests.support.forked import run_forked
from tests.support.web import BASE_DIR, environment_of_test

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis(redis_server: Callable[[], RedisServer]) -> RedisServer:
    return redis_server()


@pytest.fixture
def worker(redis: RedisServer) -> Iterator[psutil.Process]:
    worker = CeleryProcess("worker", REDIS_URL=redis.url)
    with redis.client as client:
        wait_until_a_worker_waits(client)
    yield psutil.Process(worker.process.pid)
    worker.stop()


def liveness(kind: str, redis: RedisServer, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs the liveness probe of the manifest."""
    manifest = yaml.safe_load((BASE_DIR / "kubernetes" / "base" / f"{kind}.yaml").read_text(encoding="utf-8"))
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    python, *arguments = container["livenessProbe"]["exec"]["command"]
    assert python == "python"
    return run_forked(arguments, environment_of_test(REDIS_URL=redis.url, **variables))


def test_a_hanging_worker_is_restarted(redis: RedisServer, worker: psutil.Process) -> None:
    assert liveness("worker", redis).returncode == 0
    worker.suspend()
    hanging = liveness("worker", redis)
    assert (hanging.returncode, "does not respond, although the broker does" in hanging.stderr) == (1, True)


@pytest.mark.parametrize("fault", [RedisServer.kill, RedisServer.pause])
def test_an_unavailable_broker_restarts_no_worker(
    redis: RedisServer, worker: psutil.Process, fault: Callable[[RedisServer], None]
) -> None:
    worker.suspend()
    fault(redis)
    assert liveness("worker", redis).returncode == 0


def test_beat_is_restarted_if_it_is_late_although_the_broker_is_available(redis: RedisServer, tmp_path: Path) -> None:
    assert "not checked the schedule yet" in liveness("beat", redis, DATA_DIR=str(tmp_path)).stderr
    tick = tmp_path / "beat-tick"
    tick.touch()
    assert liveness("beat", redis, DATA_DIR=str(tmp_path)).returncode == 0
    os.utime(tick, (time.time() - 2 * MAX_TICK_AGE_SECONDS,) * 2)
    assert liveness("beat", redis, DATA_DIR=str(tmp_path)).returncode == 1
    redis.kill()
    assert liveness("beat", redis, DATA_DIR=str(tmp_path)).returncode == 0
