"""The web server of `make web` and of the image: ``python -m ratelimit_platform.web``.

It reads ``HOST``, ``PORT`` and ``WEB_WORKERS``, and ends on SIGINT and SIGTERM.
"""

import queue
import sys
import threading
from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from granian.constants import HTTPModes, Interfaces
from granian.errors import FatalError
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from ratelimit_platform.environment import env, port, web_workers


class SignalSafeEvent(threading.Event):
    """An event that signal handlers may set.

    ``threading.Event.set`` takes a lock that the interrupted thread may hold, and then waits for it forever.
    ``queue.SimpleQueue.put`` is reentrant (https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put).
    """

    def __init__(self) -> None:
        super().__init__()
        self._entries: queue.SimpleQueue[None] = queue.SimpleQueue()

    def is_set(self) -> bool:
        return not self._entries.empty()

    def set(self) -> None:
        self._entries.put(None)

    def clear(self) -> None:
        for _ in range(self._entries.qsize()):
            self._entries.get()

    def wait(self, timeout: float | None = None) -> bool:
        with suppress(queue.Empty):
            self._entries.put(self._entries.get(timeout=timeout))
        return self.is_set()


class WebServer(MPServer):
    """granian with worker processes that are replaced when they end.

    One Ctrl-C reaches both this process and its workers. granian 2.8 handles the exit of a worker by clearing the
    event that it waits for; an interrupt that arrives immediately before that is lost, and the server never ends.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.main_loop_interrupt = SignalSafeEvent()

    def _respawn_workers(self, *args: Any, **kwargs: Any) -> None:
        if self.interrupt_signal:
            self.main_loop_interrupt.set()
        else:
            super()._respawn_workers(*args, **kwargs)


def server() -> WebServer:
    """The server that the environment describes. Raises ``ImproperlyConfigured``, which names the variable."""
    return WebServer(
        "ratelimit_platform.wsgi:application",
        address=env.str("HOST", "127.0.0.1"),
        port=port(),
        workers=web_workers(),
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=65_536),
        websockets=False,
        blocking_threads=64,
        backlog=2048,
        backpressure=4096,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=6,
    )


def main() -> int:
    """Serves until a signal. Returns the exit status."""
    try:
        server().serve()
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        return 1
    except FatalError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
