"""Web server and beat, started as by `make`: remains of an earlier run prevent no start, and every stop completes."""

import os
import re
import shelve
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest
import yaml
from django.conf import settings

from ratelimit_platform import web as web_process
from ratelimit_platform.beat import MAX_TICK_AGE_SECONDS, tick_problem
from ratelimit_platform.embedded.redis import free_port
from tests.support.celery import CeleryProcess
from tests.support.forked import run_forked
from tests.support.waiting import wait_until
from tests.support.web import BASE_DIR, WebServer, environment_of_test

pytestmark = pytest.mark.django_db(transaction=True)


def garbage(file: Path) -> None:
    file.write_bytes(b"\0garbage" * 100)


def half_written(file: Path) -> None:
    with shelve.open(str(file), writeback=True) as store:
        store["entries"] = {f"entry-{n}": "x" * 1000 for n in range(20)}
        store["__version__"], store["tz"], store["utc_enabled"] = "5.7.0", "UTC", True
    (data,) = [part for part in file.parent.glob(f"{file.name}*") if part.suffix in ("", ".dat", ".db")]
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])


def a_folder(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize("left_behind", [garbage, half_written, a_folder])
def test_beat_starts_despite_a_damaged_schedule(tmp_path: Path, left_behind: object) -> None:
    assert callable(left_behind)
    left_behind(tmp_path / "celerybeat-schedule")
    beat = CeleryProcess("beat", DATA_DIR=str(tmp_path))
    try:
        wait_until(lambda: (tmp_path / "beat-tick").exists() or beat.process.poll() is not None)
        assert beat.process.poll() is None
        assert health_of_beat(tmp_path).returncode == 0
    finally:
        beat.stop()


def health_of_beat(data_dir: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the health check of the compose file."""
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text(encoding="utf-8"))
    kind, python, *arguments = compose["services"]["beat"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    return run_forked(arguments, environment_of_test(DATA_DIR=str(data_dir)))


def test_a_hanging_or_never_started_beat_is_unhealthy(tmp_path: Path) -> None:
    assert "not checked the schedule yet" in health_of_beat(tmp_path).stderr
    file = tmp_path / "beat-tick"
    file.touch()
    os.utime(file, (time.time() - 2 * MAX_TICK_AGE_SECONDS,) * 2)
    hanging = health_of_beat(tmp_path)
    assert (hanging.returncode, "Beat last checked the schedule" in hanging.stderr) == (1, True)
    assert tick_problem(file, file.stat().st_mtime + MAX_TICK_AGE_SECONDS) is None


@pytest.fixture
def make_web(tmp_path: Path) -> Iterator[Callable[[], WebServer]]:
    """A function that starts `make web` with two workers, in a separate process group and data folder."""
    started: list[WebServer] = []

    def start() -> WebServer:
        data_dir = tmp_path / str(len(started))
        data_dir.mkdir()
        (data_dir / "static").symlink_to(settings.STATIC_ROOT)
        port = free_port()
        command = ["make", "--silent", "--assume-old", ".venv/run.stamp", "web", f"PORT={port}", "WEB_WORKERS=2"]
        environment = environment_of_test(DATA_DIR=str(data_dir))
        process = subprocess.Popen(command, cwd=BASE_DIR, env=environment, start_new_session=True)
        started.append(WebServer(f"http://127.0.0.1:{port}", process))
        return started[-1]

    yield start
    for server in started:
        kill_with_children(server.process)


def kill_with_children(process: "subprocess.Popen[bytes]") -> None:
    for each in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
        each.kill()
    process.kill()
    process.wait()


def workers_of(web: WebServer) -> list[psutil.Process]:
    (granian,) = psutil.Process(web.process.pid).children()
    wait_until(lambda: len(granian.children()) >= 2)
    return list(granian.children())


def test_web_ends_although_a_worker_hangs(make_web: Callable[[], WebServer]) -> None:
    """Both signals are tested concurrently, because each takes the six seconds until the worker is killed."""
    webs = {number: make_web() for number in (signal.SIGINT, signal.SIGTERM)}
    workers = [worker for web in webs.values() for worker in workers_of(web.wait_until_it_answers())]
    for number, web in webs.items():
        workers_of(web)[-1].suspend()
        os.killpg(web.process.pid, number)
    for web in webs.values():
        web.process.wait(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


class InterruptedWhenCleared(web_process.SignalSafeEvent):
    """An event for which a signal, which also ended a worker, arrives just before ``clear``."""

    def __init__(self, server: web_process.WebServer) -> None:
        super().__init__()
        self.server = server

    def clear(self) -> None:
        self.server.signal_handler_interrupt()
        super().clear()


def test_web_ends_if_a_worker_ends_first() -> None:
    server = web_process.server()
    server.main_loop_interrupt = InterruptedWhenCleared(server)
    server.interrupt_children = [0]
    server.main_loop_interrupt.set()
    assert ends(lambda: server._serve_loop(None, None))


def ends(run: Callable[[], None]) -> bool:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=10)
    return not thread.is_alive()


def test_web_ends_if_a_signal_arrives_at_any_line_of_its_waiting() -> None:
    """A signal handler runs between any two lines of the main thread, also while that holds a lock."""

    def interrupted_at_each_line(frame: FrameType, event: str, argument: object) -> Any:
        sys.settrace(None)
        server.signal_handler_interrupt()
        sys.settrace(interrupted_at_each_line)
        return interrupted_at_each_line

    def wait_and_clear() -> None:
        sys.settrace(interrupted_at_each_line)
        server.main_loop_interrupt.wait()
        server.main_loop_interrupt.clear()
        server.main_loop_interrupt.wait()
        sys.settrace(None)

    server = web_process.server()
    server.main_loop_interrupt.set()
    assert ends(wait_and_clear)


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("WEB_WORKERS", "0")])
def test_web_reports_an_invalid_variable(name: str, value: str) -> None:
    ended = run_forked(["-m", "ratelimit_platform.web"], environment_of_test(**{name: value}))
    assert (ended.returncode, ended.stderr.startswith(f"{name}: "), ended.stderr.count("\n")) == (1, True, 1)


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_web_is_started_in_the_same_way_everywhere(file: str) -> None:
    """That module contains the deadlines and limits."""
    text = (BASE_DIR / file).read_text(encoding="utf-8")
    assert re.search(r"python[\", ]+-m[\", ]+ratelimit_platform\.web\b", text)


def test_a_worker_that_does_not_end_is_killed() -> None:
    assert web_process.server().workers_kill_timeout == 6
