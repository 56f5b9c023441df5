"""Reservations and settlements by minute, hour and day, which every role may view, and totals. Groups that were renamed
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
        content_type__app_label="limits", codename__startswith="view_settlement"
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        group.permissions.add(*views)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0027_concurrency"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.CreateModel(
            name="Settlement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(blank=True, max_length=256, verbose_name="client")),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("reserved", models.BigIntegerField()),
                ("settlements", models.BigIntegerField()),
                ("settled", models.BigIntegerField()),
                ("refunded", models.BigIntegerField()),
                ("debited", models.BigIntegerField()),
                ("overdrawn", models.BigIntegerField()),
                ("minute", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "settlements",
                "ordering": ["-minute", "client_key", "endpoint"],
                "indexes": [
                    models.Index(fields=["client_key", "-minute"], name="settlement_of_client"),
                    models.Index(
                        condition=models.Q(("overdrawn__gt", 0)), fields=["minute"], name="settlement_overdrawn"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("minute", "client_key", "endpoint"), name="settlement_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("debited__gte", 0),
                            ("overdrawn__gte", 0),
                            ("refunded__gte", 0),
                            ("reserved__gte", 0),
                            ("settled__gte", 0),
                            ("settlements__gte", 0),
                        ),
                        name="settlement_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SettlementDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(blank=True, max_length=256, verbose_name="client")),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("reserved", models.BigIntegerField()),
                ("settlements", models.BigIntegerField()),
                ("settled", models.BigIntegerField()),
                ("refunded", models.BigIntegerField()),
                ("debited", models.BigIntegerField()),
                ("overdrawn", models.BigIntegerField()),
                ("day", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "settlements by day",
                "ordering": ["-day", "client_key", "endpoint"],
                "indexes": [models.Index(fields=["client_key", "-day"], name="settlementday_of_client")],
                "constraints": [
                    models.UniqueConstraint(fields=("day", "client_key", "endpoint"), name="settlementday_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("debited__gte", 0),
                            ("overdrawn__gte", 0),
                            ("refunded__gte", 0),
                            ("reserved__gte", 0),
                            ("settled__gte", 0),
                            ("settlements__gte", 0),
                        ),
                        name="settlementday_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SettlementHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(blank=True, max_length=256, verbose_name="client")),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("reserved", models.BigIntegerField()),
                ("settlements", models.BigIntegerField()),
                ("settled", models.BigIntegerField()),
                ("refunded", models.BigIntegerField()),
                ("debited", models.BigIntegerField()),
                ("overdrawn", models.BigIntegerField()),
                ("hour", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "settlements by hour",
                "ordering": ["-hour", "client_key", "endpoint"],
                "indexes": [
                    models.Index(fields=["client_key", "-hour"], name="settlementhour_of_client"),
                    models.Index(
                        condition=models.Q(("overdrawn__gt", 0)), fields=["hour"], name="settlementhour_overdrawn"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("hour", "client_key", "endpoint"), name="settlementhour_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("debited__gte", 0),
                            ("overdrawn__gte", 0),
                            ("refunded__gte", 0),
                            ("reserved__gte", 0),
                            ("settled__gte", 0),
                            ("settlements__gte", 0),
                        ),
                        name="settlementhour_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SettlementTotal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reserved", models.BigIntegerField()),
                ("settlements", models.BigIntegerField()),
                ("settled", models.BigIntegerField()),
                ("refunded", models.BigIntegerField()),
                ("debited", models.BigIntegerField()),
                ("overdrawn", models.BigIntegerField()),
                ("endpoint", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "ordering": ["endpoint"],
                "constraints": [
                    models.UniqueConstraint(fields=("endpoint",), name="settlementtotal_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("debited__gte", 0),
                            ("overdrawn__gte", 0),
                            ("refunded__gte", 0),
                            ("reserved__gte", 0),
                            ("settled__gte", 0),
                            ("settlements__gte", 0),
                        ),
                        name="settlementtotal_not_negative",
                    ),
                ],
            },
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
