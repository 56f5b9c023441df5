"""The migration of emails of an earlier release to messages: waiting ones are still sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE = "0008_usage_rollups"
AT = datetime(2026, 6, 21, 12, tzinfo=UTC)


def migrate(name: str | None = None) -> Any:
    """Migrates to this migration, or to the newest, and returns the models of that state. Uses the command, because it
    renames content types together with their models."""
    call_command("migrate", "limits", *filter(None, [name]), verbosity=0)
    targets = [("limits", name)] if name else None
    return MigrationExecutor(connection).loader.project_state(targets).apps


@pytest.mark.django_db(transaction=True)
def test_a_waiting_email_becomes_one_message_per_address() -> None:
    try:
        old = migrate(BEFORE)
        rule = old.get_model("limits", "AlertRule").objects.create(
            name="abuse", metric="throttled", threshold=50, emails=["a@example.com", "b@example.com"]
        )
        alert = old.get_model("limits", "Alert").objects.create(rule=rule, group="acme", opened_at=AT, highest=60)
        mails = old.get_model("limits", "AlertMail").objects
        for name, sent in (("sent", AT), ("waits", None)):
            mails.create(
                alert=alert,
                message_id=f"<{name}@example.com>",
                recipients=rule.emails,
                subject=name,
                text="t",
                html="h",
                created_at=AT + timedelta(minutes=1),
                next_attempt_at=None if sent else AT,
                sent_at=sent,
            )
    finally:
        migrate()
    from limits.models import Alert, Message

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
