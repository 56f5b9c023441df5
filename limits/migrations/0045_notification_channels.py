"""Notification channels, which alert rules name; operators may edit them, and every role may view them. Groups that were
renamed or removed stay as they are. Permissions are made first: Django makes them after the last migration only."""

from typing import Any

import django.contrib.postgres.fields
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

import limits.models.fields
from limits.models.roles import OPERATORS, ROLES


def allow(apps: Any, schema_editor: Any) -> None:
    config = apps.get_app_config("limits")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    of_channels = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="limits", content_type__model="notificationchannel"
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        group.permissions.add(*of_channels.filter(codename__startswith="view_"))
        if group.name == OPERATORS:
            group.permissions.add(*of_channels)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0044_order_and_price_notes_of_plans"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="HistoricalNotificationChannel",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "slug",
                    models.CharField(
                        db_index=True,
                        help_text="Alert rules name the channel by it, such as “ops-slack”.",
                        max_length=64,
                        validators=[limits.models.fields.validate_slug],
                    ),
                ),
                ("url", models.CharField(max_length=450, verbose_name="URL")),
                (
                    "approvals",
                    models.BooleanField(
                        default=False,
                        help_text="Also sends a message when a change set awaits approval.",
                        verbose_name="requests for approval",
                    ),
                ),
                ("history_change_reason", models.CharField(max_length=500, null=True)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
            ],
            options={
                "verbose_name": "historical channel",
                "verbose_name_plural": "historical channels",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="NotificationChannel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "slug",
                    models.CharField(
                        help_text="Alert rules name the channel by it, such as “ops-slack”.",
                        max_length=64,
                        unique=True,
                        validators=[limits.models.fields.validate_slug],
                    ),
                ),
                ("url", models.CharField(max_length=450, verbose_name="URL")),
                (
                    "approvals",
                    models.BooleanField(
                        default=False,
                        help_text="Also sends a message when a change set awaits approval.",
                        verbose_name="requests for approval",
                    ),
                ),
            ],
            options={
                "verbose_name": "channel",
                "ordering": ["slug"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="alertrule",
            name="alertrule_has_an_address",
        ),
        migrations.RemoveConstraint(
            model_name="message",
            name="message_channel_known",
        ),
        migrations.RemoveConstraint(
            model_name="message",
            name="message_kind_known",
        ),
        migrations.AddField(
            model_name="alertrule",
            name="channels",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64),
                blank=True,
                db_default=models.Value("{}"),
                default=list,
                help_text="Channels of Slack, Microsoft Teams, PagerDuty and other services.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="historicalalertrule",
            name="channels",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64),
                blank=True,
                db_default=models.Value("{}"),
                default=list,
                help_text="Channels of Slack, Microsoft Teams, PagerDuty and other services.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="channel",
            field=models.CharField(
                choices=[("mail", "mail"), ("webhook", "webhook"), ("service", "service")], max_length=10
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="kind",
            field=models.CharField(
                choices=[
                    ("opened", "opened"),
                    ("reminder", "reminder"),
                    ("acknowledged", "acknowledged"),
                    ("resolved", "resolved"),
                    ("digest", "digest"),
                    ("test", "test"),
                    ("requested", "requested"),
                    ("approved", "approved"),
                    ("sent_back", "sent back"),
                    ("conflict", "conflict"),
                    ("withdrawn", "withdrawn"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="alertrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("emails__len__gte", 1), ("webhooks__len__gte", 1), ("channels__len__gte", 1), _connector="OR"
                ),
                name="alertrule_has_an_address",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(("channel__in", ["mail", "webhook", "service"])), name="message_channel_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "opened",
                            "reminder",
                            "acknowledged",
                            "resolved",
                            "digest",
                            "test",
                            "requested",
                            "approved",
                            "sent_back",
                            "conflict",
                            "withdrawn",
                        ],
                    )
                ),
                name="message_kind_known",
            ),
        ),
        migrations.AddField(
            model_name="historicalnotificationchannel",
            name="history_user",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="notificationchannel",
            constraint=models.CheckConstraint(
                condition=models.Q(("slug__regex", "^[a-z0-9-]+$")), name="notificationchannel_slug_shape"
            ),
        ),
        migrations.RunPython(allow, migrations.RunPython.noop),
    ]
