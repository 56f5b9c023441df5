"""Web and beat as `make` starts them: what is left of an earlier run stops no start, and every stop ends."""

import os
import shelve
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from ratelimit_platform.beat import LATE_AFTER, problem
from ratelimit_platform.embedded.redis import free_port
from tests.support.celery import CeleryProcess
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
def test_beat_starts_whatever_became_of_an_earlier_schedule(tmp_path: Path, left_behind: object) -> None:
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
    """The health check of the containers."""
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text(encoding="utf-8"))
    kind, python, *arguments = compose["services"]["beat"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    environment = environment_of_test(DATA_DIR=str(data_dir))
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)


def test_a_beat_that_hangs_or_never_ran_is_not_well(tmp_path: Path) -> None:
    assert "not looked at its schedule yet" in health_of_beat(tmp_path).stderr
    file = tmp_path / "beat-tick"
    file.touch()
    os.utime(file, (time.time() - 2 * LATE_AFTER,) * 2)
    hanging = health_of_beat(tmp_path)
    assert (hanging.returncode, "Beat last looked at its schedule" in hanging.stderr) == (1, True)
    assert problem(file, file.stat().st_mtime + LATE_AFTER) is None


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """`make web` with two workers, in a process group of its own."""
    port = free_port()
    command = ["make", "--silent", "--assume-old", ".venv/run.stamp", "web", f"PORT={port}", "WEB_WORKERS=2"]
    environment = environment_of_test(DATA_DIR=str(tmp_path))
    process = subprocess.Popen(command, cwd=BASE_DIR, env=environment, start_new_session=True)
    server = WebServer(f"http://127.0.0.1:{port}", process)
    try:
        yield server.wait_until_it_answers()
    finally:
        processes = [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        for each in processes:
            each.kill()
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_web_ends_although_a_worker_hangs(web: WebServer, number: signal.Signals) -> None:
    (granian,) = psutil.Process(web.process.pid).children()
    wait_until(lambda: len(granian.children()) >= 2)
    workers = granian.children()
    workers[-1].suspend()
    os.killpg(web.process.pid, number)
    web.process.wait(timeout=60)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_wherever_web_is_started_its_workers_are_ended(file: str) -> None:
    command = (BASE_DIR / file).read_text(encoding="utf-8").partition("exec ")[2]
    assert "--workers-kill-timeout 6" in command
