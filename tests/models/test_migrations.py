"""Migrations are in accordance with the models."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection

from limits.models import QuotaThreshold
from limits.models.roles import ROLES, create_roles


@pytest.mark.django_db
def test_no_migration_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=3)
    except SystemExit:
        pytest.fail(f"Run “python manage.py makemigrations limits” and commit its file:\n{capsys.readouterr().out}")


@pytest.mark.django_db(transaction=True)
def test_the_triggers_can_be_removed_and_recreated() -> None:
    try:
        call_command("migrate", "limits", "0001", verbosity=0)
    finally:
        call_command("migrate", "limits", verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_quota_thresholds_keep_their_rows_and_permissions_under_the_new_name() -> None:
    """From the previous release, in which the model was called QuotaCrossing."""
    try:
        call_command("migrate", "limits", "0017", verbosity=0)
        permissions = Permission.objects.filter(content_type__app_label="limits", codename__endswith="quotacrossing")
        assert permissions.count() == 4
        group = Group.objects.create(name="on duty")
        group.permissions.set(permissions)
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO limits_quotacrossing (minute, client_key, endpoint, policy, mark, requests) "
                "VALUES (now(), 'acme', 'search', 'tight', 80, 3)"
            )
    finally:
        call_command("migrate", "limits", verbosity=0)
    assert set(group.permissions.values_list("codename", "name", "content_type__model")) == {
        (f"{verb}_quotathreshold", f"Can {verb} quota threshold", "quotathreshold")
        for verb in ("add", "change", "delete", "view")
    }
    assert not Permission.objects.filter(codename__endswith="quotacrossing").exists()
    assert QuotaThreshold.objects.get().mark == 80


@pytest.mark.django_db(transaction=True)
def test_every_role_may_view_settlements_from_their_migration_on() -> None:
    try:
        call_command("migrate", "limits", "0027", verbosity=0)
        create_roles(Group.objects, Permission.objects)
        Group.objects.create(name="on duty")
        for group in Group.objects.all():
            group.permissions.clear()
    finally:
        call_command("migrate", "limits", verbosity=0)
    views = {f"view_settlement{suffix}" for suffix in ("", "hour", "day", "total")}
    may = {group.name: set(group.permissions.values_list("codename", flat=True)) for group in Group.objects.all()}
    assert may == dict.fromkeys(ROLES, views) | {"on duty": set()}


@pytest.mark.django_db
def test_an_earlier_release_still_finds_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Servers of two releases may run concurrently, so a migration renames no column."""
    call_command("sqlmigrate", "limits", "0018")
    statements = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("--")]
    assert not [line for line in statements if "RENAME" in line]
