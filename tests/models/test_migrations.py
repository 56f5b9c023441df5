"""Migrations are in accordance with the models."""

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_migration_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=3)
    except SystemExit:
        pytest.fail(f"Run “python manage.py makemigrations limits” and commit its file:\n{capsys.readouterr().out}")


@pytest.mark.django_db
def test_an_earlier_release_still_finds_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Servers of two releases may run concurrently, so a migration renames no column."""
    call_command("sqlmigrate", "limits", "0018")
    statements = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("--")]
    assert not [line for line in statements if "RENAME" in line]
