"""Blocks of clients, key prefixes and networks, which Support and product managers may edit and every role may view.
Groups that were renamed or removed stay as they are. Permissions are made first: Django makes them after the last
migration only."""

from typing import Any

import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

import limits.models.clients
import limits.models.fields
from limits.models.roles import PRODUCT_MANAGERS, ROLES, SUPPORT

RULES_CHANGED = (
    "CREATE TRIGGER limits_block_changed AFTER INSERT OR UPDATE OR DELETE ON limits_block "
    "FOR EACH STATEMENT EXECUTE FUNCTION limits_rules_changed();"
)


def grant(apps: Any, schema_editor: Any) -> None:
    config = apps.get_app_config("limits")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    of_blocks = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="limits", content_type__model="block"
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        edits = group.name in (SUPPORT, PRODUCT_MANAGERS)
        group.permissions.add(*(of_blocks if edits else of_blocks.filter(codename__startswith="view_")))


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("limits", "0025_parents_of_clients"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="HistoricalBlock",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "client_key",
                    models.CharField(
                        blank=True,
                        help_text="Key of a registered or unregistered client.",
                        max_length=256,
                        validators=[limits.models.clients.validate_key],
                        verbose_name="client",
                    ),
                ),
                (
                    "prefix",
                    models.CharField(
                        blank=True,
                        help_text="All clients whose key begins with this text, registered or not.",
                        max_length=256,
                        validators=[limits.models.clients.validate_key],
                        verbose_name="key prefix",
                    ),
                ),
                (
                    "network",
                    models.CharField(
                        blank=True,
                        help_text="All requests whose attribute ip is in this network, such as 203.0.113.0/24 or 2001:db8::/48.",
                        max_length=64,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="Such as “scraping since Monday”.",
                        max_length=500,
                        validators=[limits.models.fields.validate_printable],
                    ),
                ),
                ("ends_at", models.DateTimeField(blank=True, help_text="Empty: no end.", null=True)),
                ("created_at", models.DateTimeField(blank=True, editable=False)),
                ("history_change_reason", models.CharField(max_length=500, null=True)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "historical block",
                "verbose_name_plural": "historical blocks",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="Block",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "client_key",
                    models.CharField(
                        blank=True,
                        help_text="Key of a registered or unregistered client.",
                        max_length=256,
                        validators=[limits.models.clients.validate_key],
                        verbose_name="client",
                    ),
                ),
                (
                    "prefix",
                    models.CharField(
                        blank=True,
                        help_text="All clients whose key begins with this text, registered or not.",
                        max_length=256,
                        validators=[limits.models.clients.validate_key],
                        verbose_name="key prefix",
                    ),
                ),
                (
                    "network",
                    models.CharField(
                        blank=True,
                        help_text="All requests whose attribute ip is in this network, such as 203.0.113.0/24 or 2001:db8::/48.",
                        max_length=64,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="Such as “scraping since Monday”.",
                        max_length=500,
                        validators=[limits.models.fields.validate_printable],
                    ),
                ),
                ("ends_at", models.DateTimeField(blank=True, help_text="Empty: no end.", null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["client_key", "prefix", "network"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("network", ""), ("prefix", ""), models.Q(("client_key", ""), _negated=True)),
                            models.Q(("client_key", ""), ("network", ""), models.Q(("prefix", ""), _negated=True)),
                            models.Q(("client_key", ""), ("prefix", ""), models.Q(("network", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="block_one_subject",
                        violation_error_message="Enter exactly one of client, key prefix and network.",
                    ),
                    models.UniqueConstraint(
                        fields=("client_key", "prefix", "network"),
                        name="block_subject",
                        violation_error_message="There is already a block of this client, key prefix or network: change it.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="block_reason_not_empty"
                    ),
                ],
            },
        ),
        migrations.RunSQL(RULES_CHANGED, migrations.RunSQL.noop),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
