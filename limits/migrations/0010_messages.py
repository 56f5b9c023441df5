"""Mails become messages: one for each address, so that one that fails does not keep the others."""

import uuid
from typing import Any

from django.db import migrations

OLD_ALERTS = """
    UPDATE limits_alert SET last_fired_at = coalesce(resolved_at, opened_at),
        last_minute = date_trunc('minute', opened_at, 'UTC'), value = highest, told_at = (
            SELECT max(created_at) FROM limits_alertmail WHERE alert_id = limits_alert.id
        )
"""
NOTHING_WAITS = "SET CONSTRAINTS ALL IMMEDIATE"
"""Or the tables could not be changed in the same transaction."""


def copy_mails(apps: Any, schema_editor: Any) -> None:
    """A mail that was sent to several stays one; one that waits becomes one for each."""
    mail_model, message_model = apps.get_model("limits", "AlertMail"), apps.get_model("limits", "Message")
    for mail in mail_model.objects.order_by("pk").iterator():
        whom = [", ".join(mail.recipients)[:500]] if mail.sent_at else mail.recipients
        for place, destination in enumerate(whom):
            kept = ("subject", "text", "html", "created_at", "attempts", "next_attempt_at", "sent_at", "problem")
            message = message_model.objects.create(
                channel="mail",
                kind="opened",
                destination=destination,
                message_id=mail.message_id if place == 0 else f"<{uuid.uuid4()}@{mail.message_id.rpartition('@')[2]}",
                **{name: getattr(mail, name) for name in kept},
            )
            message.alerts.add(mail.alert_id)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0009_alert_states"),
    ]

    operations = [
        migrations.RunSQL(OLD_ALERTS, migrations.RunSQL.noop),
        migrations.RunPython(copy_mails, migrations.RunPython.noop),
        migrations.RunSQL(NOTHING_WAITS, migrations.RunSQL.noop),
        migrations.DeleteModel(name="AlertMail"),
    ]
