"""Real Celery processes of this platform, as `make worker` and `make beat` start them."""

import subprocess
import sys

import psutil

from tests.support.web import BASE_DIR, environment_of_test


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


class CeleryProcess:
    """A worker or a beat, which can be killed and started again."""

    def __init__(self, kind: str, **variables: str) -> None:
        self.kind = kind
        self._environment = environment_of_test(**variables)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "-A", "ratelimit_platform", self.kind, *self._options()],
            cwd=BASE_DIR,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )

    def _options(self) -> list[str]:
        if self.kind == "beat":
            return ["--loglevel", "error"]
        return ["--loglevel", "error", "--concurrency", "1", "--without-gossip", "--without-mingle"]

    def kill(self) -> None:
        """``kill -9`` for the process and what it started."""
        for process in [*_children(self.process.pid), self.process]:
            process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ends it, whatever became of it before."""
        if self.process.poll() is None:
            self.kill()
