"""Folders whose names have spaces and characters with a meaning to shells and URLs."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ratelimit_platform.embedded.postgres import PathNotAllowed, database_url, start_postgres
from ratelimit_platform.embedded.redis import RedisServer, free_port
from tests.house.test_make_run import GIVEN_BY_TESTS, running
from tests.support.web import BASE_DIR

ODD = "My #1 %2F?&;'(),*~=@: ümläut"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter: as root, PostgreSQL runs as another user. pytest closes its own
    to others whenever another run of it starts."""
    folder = Path(tempfile.mkdtemp(prefix="ratelimit-paths-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def servers_work(folder: Path) -> bool:
    redis = RedisServer(folder / "redis", persistent=True).start()
    postgres = start_postgres(folder / "postgres")
    try:
        with psycopg.connect(database_url(postgres)) as connection, redis.client as client:
            return connection.execute("SELECT 1").fetchone() == (1,) and client.ping()
    finally:
        redis.stop()
        postgres.stop()


@pytest.mark.parametrize("name", [ODD, "x" * 175, "a&touch marker&"])
def test_stores_start_in_a_folder_with_any_name(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert servers_work(place / name)
    assert list(place.rglob("marker")) == []


@pytest.mark.parametrize("character", ["$", '"', "`", "\\", "\n"])
def test_a_character_that_a_shell_would_read_is_named(character: str, place: Path) -> None:
    with pytest.raises(PathNotAllowed) as error:
        start_postgres(place / f"a{character}b" / "postgres")
    assert f"contains the character {character!r}" in str(error.value)


@pytest.mark.parametrize("left_behind", ["", "12", "99999999\n/nowhere\n", "1\na\n1\n5432\n/tmp\n\n1 1\nready\n"])
def test_postgres_starts_whatever_an_ended_server_left(place: Path, left_behind: str) -> None:
    start_postgres(place / "postgres").stop()
    (place / "postgres" / "postmaster.pid").write_text(left_behind)
    (place / "postgres" / ".handle_pids.json").write_text("[12,")
    program = (
        "import sys; from pathlib import Path; from ratelimit_platform.embedded.postgres import *; "
        "start_postgres(Path(sys.argv[1])).stop()"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(place / "postgres")]
    result = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_clone_in_such_a_folder_runs_with_odd_secrets(place: Path) -> None:
    clone = place / ODD / "limits"
    shutil.copytree(BASE_DIR, clone, ignore=shutil.ignore_patterns(".venv", ".git", ".data", "images", ".*_cache"))
    (clone / ".venv").symlink_to((BASE_DIR / ".venv").resolve())
    for file in clone.glob("requirements*.txt"):
        os.utime(file, (0, 0))  # nothing is to be installed
    data = clone / "data dir"
    odd = {"ADMIN_PASSWORD": "$tr0ng!'Pass\" #1", "NAMESPACE": "$rl", "EMAIL_FROM": "$me <me@example.com>"}
    with running(data, free_port(), base_dir=clone, **odd) as run:
        run.wait_for("Everything answers.")
        run.wait_for(odd["ADMIN_PASSWORD"])
        assert run.check()["allowed"] is True
        program = (
            "from django.contrib.auth import authenticate; import sys; print(authenticate(username='admin', password="
        )
        shown = manage(clone, data, "shell", "-c", f"{program}{odd['ADMIN_PASSWORD']!r}))")
        assert "admin" in shown


def manage(clone: Path, data: Path, *arguments: str) -> str:
    """A command beside `make run`, which finds stores and secrets in the data folder."""
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN_BY_TESTS}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=clone, env=environment | {"DATA_DIR": str(data)}, capture_output=True, text=True, check=True
    ).stdout
