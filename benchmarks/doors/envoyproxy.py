"""envoyproxy/ratelimit, built with Go and kept for the next run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.doors.processes import until_it_listens
from benchmarks.lines import BASE_DIR
from ratelimit_platform.embedded.redis import free_port

MODULE = "github.com/envoyproxy/ratelimit/src/service_cmd@v1.4.1-0.20260122083618-3fb702589d36"
FOLDER = BASE_DIR / ".data" / "bench-peers" / "envoyproxy"
CONFIG = """
domain: bench
descriptors:
  - key: client
    rate_limit: {unit: minute, requests_per_unit: 1000000}
"""


class EnvoyProxy(NamedTuple):
    """A running service."""

    pid: int
    http_port: int
    grpc_port: int


def executable() -> Path | None:
    """The program, built if it is not there; None without Go or without a module proxy."""
    program = FOLDER / "service_cmd"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        return None
    print("… building envoyproxy/ratelimit", file=sys.stderr, flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    built = subprocess.run((go, "install", MODULE), env=os.environ | {"GOBIN": str(FOLDER)}, check=False)
    return program if built.returncode == 0 else None


@contextmanager
def running(program: Path, redis_url: str, folder: Path) -> Iterator[EnvoyProxy]:
    """The service on this Redis, with the limit of the endpoint “one”; its folder for rules is below ``folder``."""
    rules = folder / "ratelimit" / "config"
    rules.mkdir(parents=True)
    (rules / "bench.yaml").write_text(CONFIG, encoding="utf-8")
    http, grpc = free_port(), free_port()
    environment = os.environ | {
        "USE_STATSD": "false",
        "LOG_LEVEL": "error",
        "BACKEND_TYPE": "redis",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": urlsplit(redis_url).netloc,
        "RUNTIME_ROOT": str(folder),
        "RUNTIME_SUBDIRECTORY": "ratelimit",
        "RUNTIME_WATCH_ROOT": "false",
        "PORT": str(http),
        "GRPC_PORT": str(grpc),
        "DEBUG_PORT": str(free_port()),
    }
    process = subprocess.Popen((str(program),), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for port in (http, grpc):
            until_it_listens(port)
        yield EnvoyProxy(process.pid, http, grpc)
    finally:
        process.terminate()
        process.wait()
