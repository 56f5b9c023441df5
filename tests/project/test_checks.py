"""Django's own checks of the project."""

import subprocess
from pathlib import Path

import pytest

from tests.support.forked import run_forked
from tests.support.web import outer_environment


def manage(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = outer_environment() | {"HTTPS": "1"} | variables
    return run_forked(["manage.py", *arguments], environment)


def test_production_settings_pass_the_deployment_checks() -> None:
    result = manage("check", "--deploy", "--fail-level", "WARNING", SECRET_KEY="k" * 30 + "0123456789" * 3)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"])
def test_a_missing_setting_is_reported_with_the_solution(missing: str, tmp_path: Path) -> None:
    result = manage("check", DATA_DIR=str(tmp_path), **{missing: ""})
    assert result.returncode != 0
    assert f"{missing} is not set. Set it, or start `make run`" in result.stderr
