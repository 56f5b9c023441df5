"""Starts the gateway: a supervisor, and the processes that it starts with further arguments.

It reads ``HOST``, ``GATEWAY_PORT``, ``GATEWAY_GRPC_PORT`` and ``GATEWAY_WORKERS``, and ends on SIGINT and SIGTERM,
after the requests in flight. SIGHUP replaces its processes, under load and without an error.
"""

import signal
import socket
import sys
from collections.abc import Sequence

import django
from django.core.exceptions import ImproperlyConfigured

from gateway.supervisor import Supervisor, listen
from ratelimit_platform.environment import env, gateway_grpc_port, gateway_port, gateway_workers

MODULE = "ratelimit_platform.gateway"


def main(arguments: Sequence[str], module: str = MODULE) -> int:
    """Serves until a signal. ``arguments``: none, or the descriptors that the supervisor passes to its processes, which
    run ``module``. Returns the exit status."""
    if arguments:
        return _serve(*map(int, arguments))
    try:
        host = env.str("HOST", "127.0.0.1")
        listeners = [listen(host, gateway_port()), listen(host, gateway_grpc_port())]
        return Supervisor(("-m", module), listeners, gateway_workers()).run()
    except (ImproperlyConfigured, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _serve(http: int, grpc: int, ready: int, lifeline: int) -> int:
    # Until the event loop handles signals; a terminal sends them to every process of the group.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Imported late: the supervisor needs neither of them, and the second needs Django's settings.
    from ratelimit_platform.startup import prepared

    prepared(django.setup, "gateway")
    from ratelimit_platform.gateway.process import run

    run(socket.socket(fileno=http), socket.socket(fileno=grpc), ready=ready, lifeline=lifeline)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
