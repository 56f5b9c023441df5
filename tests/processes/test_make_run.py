"""`make run` with real processes, from a clone in a folder with an unusual name, and with unusual secrets: start, end,
and cleanup."""

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from ratelimit_platform.embedded.redis import free_port, redis_executable
from tests.support.odd_paths import ODD, public_folder
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("make-run")

BASE_DIR = Path(__file__).resolve().parents[2]
TIMEOUT = 60
ODD_SECRETS = {
    "ADMIN_PASSWORD": "$tr0ng!'Pass\" #1",
    "API_TOKEN": "rl_of_the_test",
    "NAMESPACE": "$rl",
    "EMAIL_FROM": "$me <me@example.com>",
}
GIVEN_BY_TESTS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "HTTPS", "DJANGO_SETTINGS_MODULE")


class Run:
    """One `make run`, with one process each of the web server and of the gateway."""

    def __init__(self, clone: Path, port: int, **given: str) -> None:
        self.clone, self.port = clone, port
        self.data_dir = clone / "data dir"
        self.gateway_port = free_port()
        variables = {"PORT": str(port), "WEB_WORKERS": "1", "GATEWAY_WORKERS": "1", "PYTHONWARNINGS": "default"}
        variables |= {"GATEWAY_PORT": str(self.gateway_port), "GATEWAY_GRPC_PORT": str(free_port())} | given
        self.lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ratelimit_platform.running"],
            cwd=clone,
            env=self.environment | variables | ODD_SECRETS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command run concurrently, which finds stores and secrets in the data folder."""
        outer = {name: value for name, value in os.environ.items() if name not in GIVEN_BY_TESTS}
        return outer | {"DATA_DIR": str(self.data_dir)}

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        options: dict[str, Any] = {"cwd": self.clone, "env": self.environment, "capture_output": True, "text": True}
        return str(subprocess.run(command, **options, check=True).stdout)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.process.stdout.close()

    def wait_for(self, text: str) -> None:
        while not any(text in line for line in self.seen):
            try:
                self.seen.append(self.lines.get(timeout=TIMEOUT))
            except queue.Empty:
                pytest.fail(f"“{text}” was never printed. Printed was:\n{''.join(self.seen)}")

    def end(self) -> int:
        """Waits for the end of the supervisor, after which ``seen`` contains its complete output."""
        status = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        while not self.lines.empty():
            self.seen.append(self.lines.get())
        return status

    def others(self) -> list[psutil.Process]:
        """All processes of this run except the supervisor."""
        return [each for each in psutil.process_iter() if self._is_ours(each) and each.pid != self.process.pid]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("DATA_DIR") == str(self.data_dir)
        except psutil.Error:
            return False

    def part(self, word: str) -> psutil.Process:
        """The first process with this word in its command line."""
        return next(each for each in self.others() if word in each.cmdline())

    def check(self, port: int | None = None) -> dict[str, Any]:
        """Asks the web server, or what listens on another port."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}/v1/check",
            data=json.dumps({"client": "corner-shop", "endpoint": "search"}).encode(),
            headers={"Authorization": f"Bearer {ODD_SECRETS['API_TOKEN']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: dict[str, Any] = json.load(answer)
        return body


@contextmanager
def running(clone: Path, port: int, **given: str) -> Iterator[Run]:
    run = Run(clone, port, **given)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGINT)
            run.end()


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """One clone for all tests in this file: the first test sets it up, the others use its state."""
    with public_folder() as folder:
        clone = folder / ODD / "limits"
        shutil.copytree(BASE_DIR, clone, ignore=shutil.ignore_patterns(".venv", ".git", ".data", "images", ".*_cache"))
        (clone / ".venv").symlink_to((BASE_DIR / ".venv").resolve())
        for file in clone.glob("requirements*.txt"):
            os.utime(file, (0, 0))  # nothing has to be installed
        yield clone


def test_a_run_answers_ends_orderly_and_keeps_its_data(clone: Path) -> None:
    with running(clone, free_port()) as run:
        run.wait_for("Everything is running.")
        run.wait_for(ODD_SECRETS["ADMIN_PASSWORD"])
        first = run.check()
        assert first["allowed"] is True
        assert run.check(run.gateway_port)["remaining"] == first["remaining"] - 1
        assert (run.data_dir / "env").stat().st_mode & 0o777 == 0o600
        run.wait_for("  Redis    ")
        assert_a_store_is_at(next(line for line in run.seen if "  Redis    " in line))
        gateway = next(line for line in run.seen if "  Gateway  " in line)
        assert f"http://127.0.0.1:{run.gateway_port}/v1/check" in gateway
        socket.create_connection(("127.0.0.1", int(gateway.rpartition(":")[2]))).close()
        with running(clone, free_port()) as second:
            assert second.end() == 1
            assert any("is already running here" in line for line in second.seen)
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0
        assert run.others() == []
    with running(clone, run.port) as again:
        again.wait_for("Everything is running.")
        assert again.check()["ruleset"] == first["ruleset"]
        assert remaining_today(again.check()) == 996
        assert_the_admin_may_log_in(again)
        assert_a_kill_leaves_nothing_behind(again)


def remaining_today(body: dict[str, Any]) -> int:
    """The remaining quota of the limit per day, whose window is longer than a restart takes."""
    return next(limit["remaining"] for limit in body["limits"] if limit["window"] == 86_400)


def assert_a_store_is_at(line: str) -> None:
    """The line in the output contains the Redis URL for a Django project."""
    with Redis.from_url(line.split()[1]) as redis:
        assert redis.ping()


def assert_the_admin_may_log_in(run: Run) -> None:
    given = f"username='admin', password={ODD_SECRETS['ADMIN_PASSWORD']!r}"
    program = f"from django.contrib.auth import authenticate; print(authenticate({given}))"
    assert "admin" in run.manage("shell", "-c", program)


def assert_a_kill_leaves_nothing_behind(run: Run) -> None:
    parts = run.others()
    run.process.kill()
    run.end()
    _, alive = psutil.wait_procs(parts, timeout=TIMEOUT)
    assert [each.name() for each in alive] == []


def test_an_ended_part_is_restarted_unless_it_ends_repeatedly(clone: Path) -> None:
    with running(clone, free_port()) as run:
        run.wait_for("Everything is running.")
        for _ in range(2):
            beat = run.part("beat")
            beat.kill()
            run.wait_for("beat ended unexpectedly")
            run.seen = []
            wait_until(lambda beat=beat: any("beat" in each.cmdline() and each != beat for each in run.others()))
        run.part("beat").kill()
        assert run.end() == 1
        assert any("beat ended 3 times within" in line for line in run.seen)
        assert any("beat ended unexpectedly, so all processes are stopped." in line for line in run.seen)
        assert run.others() == []


@pytest.mark.parametrize(("store", "program"), [("Redis", Path(redis_executable()).name), ("PostgreSQL", "postgres")])
def test_the_end_of_a_store_ends_the_run_and_is_reported(clone: Path, store: str, program: str) -> None:
    with running(clone, free_port()) as run:
        run.wait_for("Everything is running.")
        for process in run.others():
            if process.name() == program:
                process.kill()
        assert run.end() == 1
        assert any(f"{store} ended unexpectedly" in line for line in run.seen)
        assert run.others() == []


@pytest.mark.parametrize("name", ["PORT", "GATEWAY_PORT", "GATEWAY_GRPC_PORT"])
def test_a_port_in_use_is_reported_with_the_solution(clone: Path, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(clone, free_port(), **{name: str(port)}) as run:
            assert run.end() == 1
    printed = "".join(run.seen)
    assert f"Checking port {port} failed" in printed
    assert f"make run {name}={port + 1}" in printed
