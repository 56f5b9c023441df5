"""Messages about change sets, and what the authors of drafts were notified of."""

from django.db import migrations, models

KINDS = [
    ("opened", "opened"),
    ("reminder", "reminder"),
    ("resolved", "resolved"),
    ("digest", "digest"),
    ("test", "test"),
    ("requested", "requested"),
    ("approved", "approved"),
    ("sent_back", "sent back"),
    ("conflict", "conflict"),
    ("withdrawn", "withdrawn"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0035_shadow_reports"),
    ]

    operations = [
        migrations.AddField(
            model_name="changeset",
            name="compared_with",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="changeset",
            name="known_conflicts",
            field=models.JSONField(db_default=[], default=list, editable=False),
        ),
        migrations.RemoveConstraint(model_name="message", name="message_kind_known"),
        migrations.AlterField(model_name="message", name="kind", field=models.CharField(choices=KINDS, max_length=10)),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", [kind for kind, _ in KINDS])), name="message_kind_known"
            ),
        ),
    ]
