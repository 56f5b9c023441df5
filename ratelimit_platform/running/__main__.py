"""`make run`: starts stores, migrations, demo, web, worker and beat; one Ctrl-C stops all of them.

Values that it generates, secrets and addresses, are stored in ``DATA_DIR/env``. A step of the start is announced if
it takes long, and named if it fails.
"""

import base64
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ratelimit_platform import env_file
from ratelimit_platform.embedded.postgres import database_url, start_postgres
from ratelimit_platform.embedded.redis import RedisServer
from ratelimit_platform.running.processes import (
    EXIT_WINDOW_SECONDS,
    MAX_EXITS,
    RUN_VARIABLE,
    RunProcess,
    RunStore,
    end_run,
)

ANNOUNCE_AFTER_SECONDS = 1.0
"""Seconds after which a running step is announced."""


class StepFailed(Exception):
    """A step failed; the message says which one, why, and what to do."""


@contextmanager
def step(name: str, what_to_do: str) -> Iterator[None]:
    """Runs one step. Raises :class:`StepFailed` in place of an expected error of the step."""
    timer = threading.Timer(ANNOUNCE_AFTER_SECONDS, lambda: print(f"… {name}", flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise StepFailed(f"{name} failed: {_reason(error)}\n{what_to_do}") from error
    finally:
        timer.cancel()


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ended with status {error.returncode}."
    return str(error)


def python(*arguments: str) -> None:
    """Runs Python in a separate process. Raises ``CalledProcessError``."""
    subprocess.run([sys.executable, *arguments], check=True)


HOSTS = "localhost,127.0.0.1,[::1]"

_GENERATED: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "ALLOWED_HOSTS": lambda: HOSTS,
    # This machine uses plain HTTP, over which browsers do not return secure cookies.
    "HTTPS": lambda: "0",
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
    "WEBHOOK_SECRET": lambda: f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
    "API_TOKEN": lambda: f"rl_{secrets.token_urlsafe(32)}",
}


def _with_generated(stored: dict[str, str]) -> dict[str, str]:
    """``stored``, plus generated values for variables that neither the environment nor ``stored`` contains."""
    generated = {name: make() for name, make in _GENERATED.items() if name not in os.environ and name not in stored}
    return stored | generated


BASE_DIR = Path(__file__).resolve().parents[2]
# Not imported from the environment module, which reads the file that this program is about to write.
DATA_DIR = (BASE_DIR / (os.environ.get("DATA_DIR") or ".data")).resolve()
READY_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.2
GATEWAY_PORT_OFFSET = 81
"""How far the default port of the gateway is from that of the web server: two runs differ in ``PORT`` only."""


class Stopped(Exception):
    """A signal asked the run to end."""


def main() -> int:
    """Runs the platform until it is stopped. Returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    run = os.environ[RUN_VARIABLE] = secrets.token_hex(8)
    try:
        with step("Preparing the data folder", f"{DATA_DIR} must be a writable folder."):
            lock = _lock()
        # In this order: another run may use the folder only after the watchdog has ended this one.
        with lock, _watchdog(run):
            return _run()
    except StepFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except Stopped:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        end_run(run)
        print("Everything is stopped.", flush=True)


def _stop(number: int, frame: object) -> None:
    raise Stopped


def _lock() -> IO[str]:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    lock = (DATA_DIR / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StepFailed(
            "`make run` is already running here, or is shutting down. `make web PORT=8001` starts a second web server "
            "for the same platform; use another DATA_DIR and PORT for a second platform."
        ) from error
    return lock


def _watchdog(run: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ratelimit_platform.running.processes", run]
    environment = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _run() -> int:
    ports = _ports()
    for name, number in ports.items():
        with step(f"Checking port {number}", f"Choose another port: make run {name}={number + 1}"):
            _require_free(number)
    port = str(ports["PORT"])
    stores = _start_stores()
    with step("Setting up tables, admin, token and demo", "See the lines above."):
        python("-m", "ratelimit_platform.running.bootstrap")
    return _supervise([*stores, *_start_processes(port)], port)


def _ports() -> dict[str, int]:
    """The ports of web and of the gateway by their variables. Raises :class:`StepFailed`."""
    port = _port("PORT", 8000, "")
    gateway = _port("GATEWAY_PORT", port + GATEWAY_PORT_OFFSET, f"PORT + {GATEWAY_PORT_OFFSET}")
    grpc = _port("GATEWAY_GRPC_PORT", gateway + 1, "GATEWAY_PORT + 1")
    return {"PORT": port, "GATEWAY_PORT": gateway, "GATEWAY_GRPC_PORT": grpc}


def _port(name: str, default: int, derived: str) -> int:
    """The port that a variable names; the processes of this run get the default too. ``derived``: how the default
    follows from another port. Raises :class:`StepFailed`."""
    given = os.environ.get(name)
    text = os.environ[name] = given or str(default)
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    if given:
        raise StepFailed(f"{name} is not a whole number from 1 to 65535.")
    raise StepFailed(
        f"{name} is not set, so it would be {derived} = {default}, but the highest port is 65535. Choose lower ports, "
        f"or set {name}."
    )


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def _start_stores() -> list[RunStore]:
    """Starts the stores that no variable names, and writes their URLs to the file where `make web` finds them."""
    stores = []
    file = DATA_DIR / "env"
    variables = _with_generated(env_file.read(file))
    if "DATABASE_URL" not in os.environ:
        with step("Starting PostgreSQL", f"See {DATA_DIR}/postgres/log. To use another server, set DATABASE_URL."):
            postgres = start_postgres(DATA_DIR / "postgres")
        variables["DATABASE_URL"] = database_url(postgres)
        stores.append(RunStore("PostgreSQL", postgres.get_postmaster_info().pid))
    if "REDIS_URL" not in os.environ:
        with step("Starting Redis", f"See {DATA_DIR}/redis/redis.log. To use another server, set REDIS_URL."):
            redis = RedisServer(DATA_DIR / "redis", persistent=True).start()
        variables["REDIS_URL"] = redis.url
        stores.append(RunStore("Redis", redis.process.pid))
    env_file.write(file, variables)
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    return stores


def _start_processes(port: str) -> list[RunProcess]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return [
        RunProcess(name, ["make", "--silent", name, f"PORT={port}"], environment)
        for name in ("web", "gateway", "worker", "beat")
    ]


def _supervise(members: Sequence[RunProcess | RunStore], port: str) -> int:
    is_ready = False
    waited_seconds = 0.0
    pause = threading.Event()
    while True:
        for member in members:
            if member.ended and not (is_ready and _restarted(member)):
                print(f"\n{member.name} ended unexpectedly, so all processes are stopped. See the log lines above.")
                return 1
        answers = not is_ready and _answers(port) and _answers(os.environ["GATEWAY_PORT"])
        if answers and (is_ready := _worker_answers()):
            print(_welcome(port), flush=True)
        if not is_ready and waited_seconds > READY_TIMEOUT_SECONDS:
            raise StepFailed(
                f"Web, gateway and worker did not respond within {READY_TIMEOUT_SECONDS:.0f} s. See the lines above."
            )
        pause.wait(POLL_SECONDS)
        waited_seconds += POLL_SECONDS


def _restarted(member: RunProcess | RunStore) -> bool:
    """Restarts a part that ended, unless it is a store or ended repeatedly. Returns whether it runs again."""
    if isinstance(member, RunStore):
        return False
    status = member.process.returncode
    if member.restart():
        print(f"\n{member.name} ended unexpectedly with status {status}; restarting.", flush=True)
        return True
    print(f"{member.name} ended {MAX_EXITS} times within {EXIT_WINDOW_SECONDS:.0f} s.")
    return False


def _answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _worker_answers() -> bool:
    """Imported late: the settings depend on the steps before."""
    from ratelimit_platform.celery import app

    return bool(app.control.ping(timeout=1.0, limit=1))


def _welcome(port: str) -> str:
    base, grpc = f"http://127.0.0.1:{port}", f"127.0.0.1:{os.environ['GATEWAY_GRPC_PORT']}"
    shop = (
        ""
        if os.environ.get("DEMO") == "0"
        else f"\n  Shop     {base}/shop/search?q=tea   make traffic simulates an hour of visits"
    )
    emails = "" if os.environ.get("EMAIL_URL") else f"\n  Emails   files in {DATA_DIR}/mail"
    return f"""
Everything is running.

  Admin    {base}/admin/   user admin, password {os.environ["ADMIN_PASSWORD"]}
  API      {base}/api/docs/{shop}{emails}
  Gateway  http://127.0.0.1:{os.environ["GATEWAY_PORT"]}/v1/check   checks in less time; gRPC for Envoy: {grpc}
  Redis    {_store()}   for RATELIMIT_PLATFORM["REDIS"] of your own Django project: docs/django-projects.md

  Try this several times in a row:

  curl -i -X POST {base}/v1/check -H 'Authorization: Bearer {os.environ["API_TOKEN"]}' \\
       -H 'Content-Type: application/json' -d '{{"client": "corner-shop", "endpoint": "search"}}'

Ctrl-C stops everything.
"""


def _store() -> str:
    """The Redis URL, unless it may contain a password."""
    url = os.environ["REDIS_URL"]
    return "as in REDIS_URL" if "@" in url else url


if __name__ == "__main__":
    sys.exit(main())
