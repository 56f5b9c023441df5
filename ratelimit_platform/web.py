"""The web server of `make web` and of the image: ``python -m ratelimit_platform.web``.

It reads ``HOST``, ``PORT`` and ``WEB_WORKERS``, and ends on SIGINT and SIGTERM.
"""

import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from granian.constants import HTTPModes, Interfaces
from granian.errors import FatalError
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from ratelimit_platform.environment import env, port, web_workers


class WebServer(MPServer):
    """granian with worker processes that are replaced when they end.

    One Ctrl-C reaches both this process and its workers. granian 2.8 handles the exit of a worker by clearing the
    event that it waits for; an interrupt that arrives immediately before that is lost, and the server never ends.
    """

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
