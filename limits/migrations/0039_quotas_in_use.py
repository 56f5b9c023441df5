"""How much of each quota clients use, and the peaks of each month, which every role may view. Groups that were renamed
or removed stay as they are. Permissions are made first: Django makes them after the last migration only."""

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations, models

from limits.models.roles import ROLES


def grant(apps: Any, schema_editor: Any) -> None:
    config = apps.get_app_config("limits")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    views = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="limits", codename__in=["view_quotareading", "view_quotapeak"]
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        group.permissions.add(*views)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0038_reports"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.CreateModel(
            name="QuotaPeak",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(max_length=256, verbose_name="client")),
                ("limit", models.CharField(max_length=200)),
                ("used", models.BigIntegerField()),
                ("capacity", models.BigIntegerField()),
                ("percent", models.IntegerField()),
                ("month", models.DateField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "peak of a quota",
                "verbose_name_plural": "peaks of quotas",
                "ordering": ["client_key", "-month", "limit"],
                "indexes": [models.Index(fields=["month"], name="quotapeak_month")],
                "constraints": [
                    models.UniqueConstraint(fields=("client_key", "limit", "month"), name="quotapeak_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(("capacity__gt", 0), ("percent__gte", 0), ("used__gte", 0)),
                        name="quotapeak_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="QuotaReading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(max_length=256, verbose_name="client")),
                ("limit", models.CharField(max_length=200)),
                ("used", models.BigIntegerField()),
                ("capacity", models.BigIntegerField()),
                ("percent", models.IntegerField()),
                ("policy", models.CharField(max_length=64)),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("read_at", models.DateTimeField()),
                ("unused_at", models.DateTimeField()),
                ("peak_percent", models.IntegerField()),
                ("peak_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "quota in use",
                "verbose_name_plural": "quotas in use",
                "ordering": ["-percent", "-peak_percent", "client_key", "limit"],
                "indexes": [
                    models.Index(
                        fields=["-percent", "-peak_percent", "client_key", "limit"], name="quotareading_by_percent"
                    ),
                    models.Index(fields=["-peak_percent", "client_key", "limit"], name="quotareading_by_peak"),
                    models.Index(fields=["read_at"], name="quotareading_read"),
                    models.Index(
                        condition=models.Q(("percent__gt", 0)), fields=["unused_at"], name="quotareading_unused"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("client_key", "limit"), name="quotareading_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(("capacity__gt", 0), ("percent__gte", 0), ("used__gte", 0)),
                        name="quotareading_not_negative",
                    ),
                ],
            },
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
