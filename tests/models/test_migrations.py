"""Migrations and models say the same."""

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_migration_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=3)
    except SystemExit:
        pytest.fail(f"Run “python manage.py makemigrations limits” and commit its file:\n{capsys.readouterr().out}")


@pytest.mark.django_db(transaction=True)
def test_the_triggers_can_be_taken_back_and_made_again() -> None:
    try:
        call_command("migrate", "limits", "0001", verbosity=0)
    finally:
        call_command("migrate", "limits", verbosity=0)
