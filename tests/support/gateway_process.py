"""Real gateways of the platform, started as by `make gateway`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ratelimit_platform.embedded.redis import free_port
from tests.support.web import BASE_DIR, WebServer, environment_of_test

COMMAND = [sys.executable, "-m", "ratelimit_platform.gateway"]


def start_gateway(workers: int = 1, port: int | None = None, **variables: str) -> WebServer:
    """Starts a gateway with this test's database and Redis, unless ``variables`` of its environment override them. The
    caller has to wait until it answers."""
    port = port or free_port()
    ports = {"GATEWAY_PORT": str(port), "GATEWAY_GRPC_PORT": str(free_port())}
    own = {"HOST": "127.0.0.1", "GATEWAY_WORKERS": str(workers)} | ports
    environment = environment_of_test(**(own | variables))
    # Its own group, so that a test can send a signal to all of it.
    process = subprocess.Popen(COMMAND, cwd=BASE_DIR, env=environment, start_new_session=True)
    return WebServer(f"http://127.0.0.1:{port}", process)


@contextmanager
def running_gateways(count: int = 1, *, workers: int = 1, **variables: str) -> Iterator[list[WebServer]]:
    """``count`` gateways that already answer, and are stopped at the end of the block."""
    gateways = [start_gateway(workers, **variables) for _ in range(count)]
    try:
        yield [gateway.wait_until_it_answers() for gateway in gateways]
    finally:
        for gateway in gateways:
            if gateway.process.poll() is None:
                gateway.process.terminate()
            gateway.process.wait(15)
