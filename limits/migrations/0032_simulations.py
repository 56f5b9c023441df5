"""Simulations of change sets, which every role may view. Groups that were renamed or removed stay as they are.
Permissions are made first: Django makes them after the last migration only."""

from typing import Any

import django.db.models.deletion
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

from limits.models.roles import ROLES


def grant(apps: Any, schema_editor: Any) -> None:
    config = apps.get_app_config("limits")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    views = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="limits", codename__in=["view_simulation", "view_simulatedclient"]
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        group.permissions.add(*views)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0032_clients_scope"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.CreateModel(
            name="Simulation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("begin", models.DateTimeField(help_text="Requests from this minute on.", verbose_name="from")),
                ("end", models.DateTimeField(help_text="Requests before this minute.", verbose_name="until")),
                ("edits", models.JSONField(default=list, editable=False)),
                ("in_force_at", models.DateTimeField(editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waits for a worker"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                        ],
                        default="waiting",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("progress", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("totals", models.JSONField(default=dict, editable=False)),
                ("problems", models.JSONField(default=list, editable=False)),
                ("author", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="started")),
                ("finished_at", models.DateTimeField(editable=False, null=True, verbose_name="finished")),
                ("leased_until", models.DateTimeField(editable=False, null=True)),
                ("interruptions", models.PositiveSmallIntegerField(default=0, editable=False)),
                (
                    "change_set",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="simulations", to="limits.changeset"
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="SimulatedClient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("requests", models.BigIntegerField()),
                ("before_least", models.BigIntegerField()),
                ("before_most", models.BigIntegerField()),
                ("after_least", models.BigIntegerField()),
                ("after_most", models.BigIntegerField()),
                ("client_key", models.CharField(max_length=256, verbose_name="client")),
                ("plan", models.CharField(blank=True, max_length=64)),
                ("endpoint", models.CharField(max_length=64, null=True)),
                ("policy", models.CharField(max_length=64, null=True)),
                (
                    "simulation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="clients", to="limits.simulation"
                    ),
                ),
            ],
            options={
                "ordering": ["simulation", "client_key", "endpoint", "policy"],
            },
        ),
        migrations.AddConstraint(
            model_name="simulation",
            constraint=models.CheckConstraint(
                condition=models.Q(("end__gt", models.F("begin"))),
                name="simulation_ends_after_start",
                violation_error_message="The end is not after the beginning.",
            ),
        ),
        migrations.AddConstraint(
            model_name="simulation",
            constraint=models.CheckConstraint(
                condition=models.Q(("progress__lte", 100)), name="simulation_progress_bounds"
            ),
        ),
        migrations.AddIndex(
            model_name="simulatedclient",
            index=models.Index(fields=["client_key"], name="simulatedclient_client"),
        ),
        migrations.AddConstraint(
            model_name="simulatedclient",
            constraint=models.UniqueConstraint(
                fields=("simulation", "client_key", "endpoint", "policy"),
                name="simulatedclient_one_row",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="simulatedclient",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("after_least__gte", 0),
                    ("before_least__gte", 0),
                    ("after_most__gte", models.F("after_least")),
                    ("before_most__gte", models.F("before_least")),
                    ("requests__gte", models.F("before_most")),
                    ("requests__gte", models.F("after_most")),
                ),
                name="simulatedclient_bounds_in_order",
            ),
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
