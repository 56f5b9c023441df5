"""What migrations do with the rows of earlier releases, and that each can be undone.

All tests share one walk, from the newest migration back to the first and to the newest again, because a walk takes many
seconds. On the way, each writes its rows at the release that it is about.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pytest_django import DjangoDbBlocker

from limits.models import Alert, Message, QuotaThreshold, RuleChange
from limits.models.roles import CHANGES, OPERATORS, PRODUCT_MANAGERS, ROLES, create_roles
from limits.models.tokens import issue
from tests.support.emptying import empty

pytestmark = [pytest.mark.xdist_group("upgrades"), pytest.mark.django_db]

AT = datetime(2026, 6, 21, 12, tzinfo=UTC)
WATCHES = "watches quotas"


@pytest.fixture(scope="module", autouse=True)
def upgraded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, list[str]]]:
    """The newest release, with the rows that were written at earlier ones. Returns the triggers before the walk, and
    those at the first migration."""
    with django_db_blocker.unblock():
        seen = {"before": triggers()}
        try:
            write_tokens_with_new_scopes()
            migrate("0031")
            seen["scopes of the previous release"] = scopes_of_tokens()
            migrate("0001")
            seen["first"] = triggers()
            migrate("0008")
            write_emails()
            migrate("0017")
            write_quota_crossing()
            migrate("0027")
            take_permissions()
            migrate("0031")
            write_tokens_with_earlier_scopes()
            migrate("0032_clients_scope")
            seen["marks of changed rules"] = list(map(str, RuleChange.objects.all()))
        finally:
            migrate()
    yield seen
    with django_db_blocker.unblock():
        empty(connection)


def migrate(*name: str) -> None:
    """Migrates to this migration, or to the newest. Uses the command, because it renames content types together with
    their models."""
    call_command("migrate", "limits", *name, verbosity=0)


def triggers() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1")
        return [definition for (definition,) in cursor.fetchall()]


def write_emails() -> None:
    """An email that was sent, and one that waits, for an alert with two addresses."""
    old = MigrationExecutor(connection).loader.project_state([("limits", "0008_usage_rollups")]).apps
    rule = old.get_model("limits", "AlertRule").objects.create(
        name="abuse", metric="throttled", threshold=50, emails=["a@example.com", "b@example.com"]
    )
    alert = old.get_model("limits", "Alert").objects.create(rule=rule, group="acme", opened_at=AT, highest=60)
    for name, sent in (("sent", AT), ("waits", None)):
        write_email(old, alert, rule.emails, name, sent)


def write_email(old: Any, alert: Any, recipients: list[str], name: str, sent: datetime | None) -> None:
    old.get_model("limits", "AlertMail").objects.create(
        alert=alert,
        message_id=f"<{name}@example.com>",
        recipients=recipients,
        subject=name,
        text="t",
        html="h",
        created_at=AT + timedelta(minutes=1),
        next_attempt_at=None if sent else AT,
        sent_at=sent,
    )


def write_quota_crossing() -> None:
    """A row, and a group with all permissions, of the model that was called QuotaCrossing."""
    permissions = Permission.objects.filter(content_type__app_label="limits", codename__endswith="quotacrossing")
    assert permissions.count() == 4
    Group.objects.create(name=WATCHES).permissions.set(permissions)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO limits_quotacrossing (minute, client_key, endpoint, policy, mark, requests) "
            "VALUES (now(), 'acme', 'search', 'tight', 80, 3)"
        )


def take_permissions() -> None:
    """The roles and a group of somebody's own, all without permissions."""
    create_roles(Group.objects, Permission.objects)
    Group.objects.create(name="on duty")
    for group in Group.objects.exclude(name=WATCHES):
        group.permissions.clear()


def write_tokens_with_new_scopes() -> None:
    issue(name="crm", scopes=["check", "clients", "rules"])
    issue(name="ci", scopes=["rules", "publish", "reports"])


def write_tokens_with_earlier_scopes() -> None:
    """A token that changes clients, with the row of the history; no rules are marked as changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO limits_apitoken (name, digest, hint, scopes, created_at) "
            "VALUES ('shop', repeat('0', 64), '0000', '{check,manage}', now())"
        )
        cursor.execute(
            "INSERT INTO limits_historicalapitoken (id, name, hint, scopes, created_at, history_date, history_type) "
            "VALUES (999, 'shop', '0000', '{check,manage}', now(), now(), '+')"
        )
        cursor.execute("DELETE FROM limits_rulechange")


def scopes_of_tokens() -> list[str]:
    """The valid tokens and the rows of the history of all tokens, with their scopes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, scopes FROM limits_apitoken WHERE revoked_at IS NULL ORDER BY name")
        valid = [f"{name}: {' '.join(scopes)}" for name, scopes in cursor.fetchall()]
        cursor.execute("SELECT name, scopes FROM limits_historicalapitoken ORDER BY name, history_id")
        return [*valid, *(f"history of {name}: {' '.join(scopes)}" for name, scopes in cursor.fetchall())]


def test_the_triggers_can_be_removed_and_recreated(upgraded: dict[str, list[str]]) -> None:
    assert upgraded["before"]
    assert upgraded["first"] == []
    assert triggers() == upgraded["before"]


def test_a_waiting_email_becomes_one_message_per_address() -> None:
    found = [(message.subject, message.destination) for message in Message.objects.order_by("pk")]
    assert found == [
        ("sent", "a@example.com, b@example.com"),
        ("waits", "a@example.com"),
        ("waits", "b@example.com"),
    ]
    assert Message.objects.filter(message_id="<waits@example.com>").count() == 1
    moved = Alert.objects.get()
    assert set(moved.messages.all()) == set(Message.objects.all())
    assert (moved.value, moved.last_fired_at, moved.notified_at) == (60, AT, AT + timedelta(minutes=1))


def test_quota_thresholds_keep_their_rows_and_permissions_under_the_new_name() -> None:
    """From the previous release, in which the model was called QuotaCrossing."""
    group = Group.objects.get(name=WATCHES)
    assert set(group.permissions.values_list("codename", "name", "content_type__model")) == {
        (f"{verb}_quotathreshold", f"Can {verb} quota threshold", "quotathreshold")
        for verb in ("add", "change", "delete", "view")
    }
    assert not Permission.objects.filter(codename__endswith="quotacrossing").exists()
    assert QuotaThreshold.objects.get().mark == 80


def test_every_role_may_view_settlements_change_sets_simulations_and_grants_from_their_migrations_on() -> None:
    views = {f"view_settlement{suffix}" for suffix in ("", "hour", "day", "total")}
    views |= {"view_changeset", "view_historicalchangeset", "view_simulation", "view_simulatedclient"}
    views |= {"view_grant", "view_grantuse", "view_granttotal"}
    views |= {"view_quotareading", "view_quotapeak", "view_notificationchannel"}
    grants = {"add_grant", "change_grant", "delete_grant"}
    groups = Group.objects.exclude(name=WATCHES)
    may = {group.name: set(group.permissions.values_list("codename", flat=True)) for group in groups}
    channels = {"add_notificationchannel", "change_notificationchannel", "delete_notificationchannel"}
    more = {PRODUCT_MANAGERS: views | CHANGES | grants, OPERATORS: views | channels}
    assert may == dict.fromkeys(ROLES, views) | more | {"on duty": set()}


def test_the_scope_manage_becomes_clients_without_a_mark_of_changed_rules(upgraded: dict[str, list[str]]) -> None:
    assert "shop: check clients" in scopes_of_tokens()
    assert "history of shop: check clients" in scopes_of_tokens()
    assert upgraded["marks of changed rules"] == []


def test_the_previous_release_finds_only_scopes_that_it_knows(upgraded: dict[str, list[str]]) -> None:
    """A token that had only other scopes is revoked."""
    assert upgraded["scopes of the previous release"] == [
        "crm: check manage",
        "history of ci: ",
        "history of crm: check manage",
    ]
