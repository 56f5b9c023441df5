"""What Django itself can say about the project."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from ratelimit_platform.environment import broker_of, database
from tests.support.web import outer_environment

BASE_DIR = Path(__file__).resolve().parents[2]


def manage(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = outer_environment() | {"HTTPS": "1"} | variables
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)


def test_production_settings_pass_the_deployment_checks() -> None:
    result = manage("check", "--deploy", "--fail-level", "WARNING", SECRET_KEY="k" * 30 + "0123456789" * 3)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"])
def test_a_missing_setting_is_named_with_what_to_do(missing: str, tmp_path: Path) -> None:
    result = manage("check", DATA_DIR=str(tmp_path), **{missing: ""})
    assert result.returncode != 0
    assert f"{missing} is not set. Set it, or start `make run`" in result.stderr


@pytest.mark.parametrize(
    ("redis_url", "broker"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/1"),
        ("redis://:password@example.com:6379/3", "redis://:password@example.com:6379/4"),
        ("redis://localhost", "redis://localhost/1"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=1"),
        ("unix:///run/redis.sock?db=2", "redis+socket:///run/redis.sock?virtual_host=3"),
    ],
)
def test_the_broker_is_the_next_database_of_the_same_redis(redis_url: str, broker: str) -> None:
    assert broker_of(redis_url) == broker


def test_a_cluster_cannot_be_the_broker() -> None:
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL"):
        broker_of("redis+cluster://localhost:7000")


def test_a_database_may_listen_on_a_socket() -> None:
    config = database("postgresql://postgres@%2Ftmp%2Fpg/shop")
    assert (config["HOST"], config["NAME"], config["USER"]) == ("/tmp/pg", "shop", "postgres")
