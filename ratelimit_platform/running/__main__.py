"""`make run`: stores, tables, demo, web, worker and beat; one Ctrl-C ends them all."""

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
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ratelimit_platform import env_file
from ratelimit_platform.embedded.postgres import database_url, start_postgres
from ratelimit_platform.embedded.redis import RedisServer
from ratelimit_platform.running import local_environment
from ratelimit_platform.running.processes import ENDS_COUNT_FOR, MAX_ENDS, RUN_VARIABLE, Part, Store, end_run
from ratelimit_platform.running.steps import StepFailed, python, step

BASE_DIR = Path(__file__).resolve().parents[2]
# Not by way of the environment module: that one reads what this program is about to write.
DATA_DIR = (BASE_DIR / (os.environ.get("DATA_DIR") or ".data")).resolve()
READY_WITHIN = 60.0
LOOK_EVERY = 0.2


class Stopped(Exception):
    """Somebody asked the run to end."""


def main() -> int:
    """Runs the platform until it is stopped. Returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    run = os.environ[RUN_VARIABLE] = secrets.token_hex(8)
    try:
        with step("Preparing the data folder", f"{DATA_DIR} must be a folder that you may write to."):
            lock = _lock()
        # In this order: the folder is free for another run only once the watchdog has ended this one.
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
            "`make run` is running here already, or is just ending. `make web PORT=8001` starts a second web server "
            "beside it; another DATA_DIR and PORT make a second platform."
        ) from error
    return lock


def _watchdog(run: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "ratelimit_platform.running.watchdog", run]
    environment = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _run() -> int:
    port = os.environ["PORT"] = os.environ.get("PORT") or "8000"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise StepFailed("PORT is not a whole number from 1 to 65535.")
    with step(f"Taking port {port}", f"Choose another one: make run PORT={int(port) + 1}"):
        _require_free(int(port))
    stores = _start_stores()
    with step("Creating the tables", "The lines above say what PostgreSQL refused."):
        python("manage.py", "migrate", "--verbosity", "0")
    with step("Setting up admin, token and demo", "The lines above say why."):
        python("-m", "ratelimit_platform.running.bootstrap")
    return _supervise([*stores, *_parts(port)], port)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def _start_stores() -> list[Store]:
    """Starts what nobody named, and keeps what was made up where `make web` finds it."""
    stores = []
    file = DATA_DIR / "env"
    variables = local_environment.complete(env_file.read(file))
    if "DATABASE_URL" not in os.environ:
        with step("Starting PostgreSQL", f"Its log is {DATA_DIR}/postgres/log. DATABASE_URL names another server."):
            postgres = start_postgres(DATA_DIR / "postgres")
        variables["DATABASE_URL"] = database_url(postgres)
        stores.append(Store("PostgreSQL", postgres.get_postmaster_info().pid))
    if "REDIS_URL" not in os.environ:
        with step("Starting Redis", f"Its log is {DATA_DIR}/redis/redis.log. REDIS_URL names another server."):
            redis = RedisServer(DATA_DIR / "redis", persistent=True).start()
        variables["REDIS_URL"] = redis.url
        stores.append(Store("Redis", redis.process.pid))
    env_file.write(file, variables)
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    return stores


def _parts(port: str) -> list[Part]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return [Part(name, ["make", "--silent", name, f"PORT={port}"], environment) for name in ("web", "worker", "beat")]


def _supervise(parts: Sequence[Part | Store], port: str) -> int:
    ready = False
    waited = 0.0
    pause = threading.Event()
    while True:
        for part in parts:
            if part.ended and not (ready and _goes_on(part)):
                print(f"\n{part.name} ended by itself, so everything ends. Its last lines say why.")
                return 1
        if not ready and (ready := _web_answers(port) and _worker_answers()):
            print(_welcome(port), flush=True)
        if not ready and waited > READY_WITHIN:
            raise StepFailed(f"Web and worker did not answer within {READY_WITHIN:.0f} s. The lines above say why.")
        pause.wait(LOOK_EVERY)
        waited += LOOK_EVERY


def _goes_on(part: Part | Store) -> bool:
    """Starts again what ended, unless it is a store or ends again and again."""
    if isinstance(part, Store):
        return False
    status = part.process.returncode
    if part.start_again():
        print(f"\n{part.name} ended by itself with status {status}, and is started again.", flush=True)
        return True
    print(f"{part.name} ended {MAX_ENDS} times within {ENDS_COUNT_FOR:.0f} s.")
    return False


def _web_answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _worker_answers() -> bool:
    """Imported late: the settings need what the steps before have set up."""
    from ratelimit_platform.celery import app

    return bool(app.control.ping(timeout=1.0))


def _welcome(port: str) -> str:
    base = f"http://127.0.0.1:{port}"
    shop = (
        ""
        if os.environ.get("DEMO") == "0"
        else f"\n  Shop     {base}/shop/search?q=tea   make traffic plays an hour of visits"
    )
    mails = "" if os.environ.get("EMAIL_URL") else f"\n  Mails    files in {DATA_DIR}/mail"
    return f"""
Everything answers.

  Admin    {base}/admin/   user admin, password {os.environ["ADMIN_PASSWORD"]}
  API      {base}/api/docs/{shop}{mails}
  Redis    {_store()}   REDIS of a Django project beside this one: docs/django-projects.md

  Try it, a few times in a row:

  curl -i -X POST {base}/v1/check -H 'Authorization: Bearer {os.environ["API_TOKEN"]}' \\
       -H 'Content-Type: application/json' -d '{{"client": "corner-shop", "endpoint": "search"}}'

Ctrl-C ends everything.
"""


def _store() -> str:
    """The address, unless it may hold a password."""
    url = os.environ["REDIS_URL"]
    return "where REDIS_URL says" if "@" in url else url


if __name__ == "__main__":
    sys.exit(main())
