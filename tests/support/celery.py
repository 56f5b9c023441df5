"""Real Celery processes of the platform, started as by `make worker` and `make beat`."""

import psutil
from redis import Redis

from tests.support.forked import Forked
from tests.support.waiting import wait_until
from tests.support.web import environment_of_test

STDERR = 2

HASTY = {"DJANGO_SETTINGS_MODULE": "tests.support.hasty_settings"}
"""Environment of processes whose periodic tasks and checks of the store run five times as often."""


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


class CeleryProcess:
    """A worker or a beat, which can be killed and restarted."""

    def __init__(self, kind: str, **variables: str) -> None:
        self.kind = kind
        self._environment = environment_of_test(**variables)
        self.start()

    def start(self) -> None:
        command = ["-m", "celery", "--quiet", "-A", "ratelimit_platform", self.kind, *self._options()]
        self.process = Forked(command, self._environment, errors=STDERR)

    def _options(self) -> list[str]:
        if self.kind == "beat":
            return ["--loglevel", "error"]
        return ["--loglevel", "error", "--concurrency", "1", "--without-gossip", "--without-mingle"]

    def kill(self) -> None:
        """``kill -9`` for the process and its descendants."""
        for process in [*_children(self.process.pid), self.process]:
            process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Kills the process if it still runs."""
        if self.process.poll() is None:
            self.kill()


def wait_until_a_worker_waits(broker: Redis) -> None:
    """Waits until a worker is ready, which is when it waits for tasks."""
    wait_until(lambda: any(client["cmd"] == "brpop" for client in broker.client_list()))
