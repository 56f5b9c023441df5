"""Stores in folders whose names contain spaces and special characters of shells and URLs."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ratelimit_platform.embedded.postgres import PathNotAllowed, database_url, start_postgres
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.forked import run_forked
from tests.support.odd_paths import ODD, public_folder
from tests.support.web import outer_environment


@pytest.fixture
def place() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


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
def test_a_character_with_a_meaning_to_shells_is_reported(character: str, place: Path) -> None:
    with pytest.raises(PathNotAllowed) as error:
        start_postgres(place / f"a{character}b" / "postgres")
    assert f"contains the character {character!r}" in str(error.value)


@pytest.mark.parametrize("left_behind", ["", "12", "99999999\n/nowhere\n", "1\na\n1\n5432\n/tmp\n\n1 1\nready\n"])
def test_postgres_starts_despite_remains_of_an_ended_server(place: Path, left_behind: str) -> None:
    start_postgres(place / "postgres").stop()
    (place / "postgres" / "postmaster.pid").write_text(left_behind)
    (place / "postgres" / ".handle_pids.json").write_text("[12,")
    program = (
        "import sys; from pathlib import Path; from ratelimit_platform.embedded.postgres import *; "
        "start_postgres(Path(sys.argv[1])).stop()"
    )
    environment = outer_environment() | {"PYTHONWARNINGS": "ignore"}
    result = run_forked(["-c", program, str(place / "postgres")], environment)
    assert result.returncode == 0, result.stderr
