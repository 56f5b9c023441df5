"""Change sets, which product managers prepare and approve, and every role may view. Groups that were renamed or removed
stay as they are. Permissions are made first: Django makes them after the last migration only."""

from typing import Any

import django.core.validators
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

import limits.models.change_sets
import limits.models.fields
from limits.models.roles import CHANGES, PRODUCT_MANAGERS, ROLES

MODELS = ("changeset", "historicalchangeset")


def grant(apps: Any, schema_editor: Any) -> None:
    config = apps.get_app_config("limits")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    permissions = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="limits", content_type__model__in=MODELS
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        group.permissions.add(*permissions.filter(codename__startswith="view_"))
        if group.name == PRODUCT_MANAGERS:
            group.permissions.add(*permissions.filter(codename__in=CHANGES))


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0030_scope_adjust"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="HistoricalChangeSet",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="Such as “Black Friday”.",
                        max_length=100,
                        validators=[limits.models.fields.validate_printable],
                    ),
                ),
                (
                    "reason",
                    models.CharField(blank=True, max_length=500, validators=[limits.models.fields.validate_printable]),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("awaiting", "awaits approval"),
                            ("approved", "approved"),
                            ("scheduled", "scheduled"),
                            ("trial", "tried on a share of the clients"),
                            ("published", "published"),
                            ("reverted", "reverted"),
                            ("withdrawn", "withdrawn"),
                            ("discarded", "discarded"),
                        ],
                        default="draft",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("author", models.CharField(editable=False, max_length=200)),
                ("edits", models.JSONField(default=list, editable=False)),
                ("publish_at", models.DateTimeField(blank=True, null=True, verbose_name="publish at")),
                (
                    "revert_at",
                    models.DateTimeField(blank=True, help_text="Empty: no end.", null=True, verbose_name="revert at"),
                ),
                (
                    "percent",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Percent of all clients without a parent, with the clients below them.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(99),
                        ],
                        verbose_name="share of clients",
                    ),
                ),
                (
                    "tag",
                    models.CharField(blank=True, help_text="Clients with this tag, instead of a share.", max_length=64),
                ),
                ("salt", models.CharField(default=limits.models.change_sets.new_salt, editable=False, max_length=24)),
                (
                    "max_denial_rate",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Percent of denied requests of the clients in the share, at which it is withdrawn automatically.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="withdraw above",
                    ),
                ),
                ("approved_at", models.DateTimeField(editable=False, null=True)),
                ("created_at", models.DateTimeField(blank=True, editable=False)),
                ("updated_at", models.DateTimeField(blank=True, editable=False)),
                ("history_change_reason", models.CharField(max_length=500, null=True)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "approved_by",
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
                    "base",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="limits.publication",
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
                (
                    "publication",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="limits.publication",
                    ),
                ),
                (
                    "user",
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
            ],
            options={
                "verbose_name": "historical change set",
                "verbose_name_plural": "historical change sets",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="ChangeSet",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="Such as “Black Friday”.",
                        max_length=100,
                        validators=[limits.models.fields.validate_printable],
                    ),
                ),
                (
                    "reason",
                    models.CharField(blank=True, max_length=500, validators=[limits.models.fields.validate_printable]),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("awaiting", "awaits approval"),
                            ("approved", "approved"),
                            ("scheduled", "scheduled"),
                            ("trial", "tried on a share of the clients"),
                            ("published", "published"),
                            ("reverted", "reverted"),
                            ("withdrawn", "withdrawn"),
                            ("discarded", "discarded"),
                        ],
                        default="draft",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("author", models.CharField(editable=False, max_length=200)),
                ("edits", models.JSONField(default=list, editable=False)),
                ("ids", models.JSONField(default=dict, editable=False)),
                ("publish_at", models.DateTimeField(blank=True, null=True, verbose_name="publish at")),
                (
                    "revert_at",
                    models.DateTimeField(blank=True, help_text="Empty: no end.", null=True, verbose_name="revert at"),
                ),
                (
                    "percent",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Percent of all clients without a parent, with the clients below them.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(99),
                        ],
                        verbose_name="share of clients",
                    ),
                ),
                (
                    "tag",
                    models.CharField(blank=True, help_text="Clients with this tag, instead of a share.", max_length=64),
                ),
                ("salt", models.CharField(default=limits.models.change_sets.new_salt, editable=False, max_length=24)),
                (
                    "max_denial_rate",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Percent of denied requests of the clients in the share, at which it is withdrawn automatically.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                        verbose_name="withdraw above",
                    ),
                ),
                ("approved_at", models.DateTimeField(editable=False, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "approved_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "base",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="limits.publication",
                    ),
                ),
                (
                    "publication",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="change_sets",
                        to="limits.publication",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "change set",
                "ordering": ["-created_at", "-pk"],
                "permissions": [
                    ("publish_alone", "Can publish changes without approval"),
                    ("approve_change", "Can approve changes of others"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("percent__isnull", True), ("percent__range", (1, 99)), _connector="OR"),
                        name="changeset_percent_bounds",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("max_denial_rate__isnull", True), ("max_denial_rate__range", (1, 100)), _connector="OR"
                        ),
                        name="changeset_denial_rate_bounds",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("percent__isnull", True), ("tag", ""), _connector="OR"),
                        name="changeset_percent_or_tag",
                        violation_error_message="Choose either a share of the clients or a tag.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["draft", "awaiting", "approved", "scheduled", "trial"])),
                        fields=("name",),
                        name="changeset_one_of_each_name",
                        violation_error_message="An unfinished change has this name.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("revert_at__isnull", True),
                            ("publish_at__isnull", True),
                            ("revert_at__gt", models.F("publish_at")),
                            _connector="OR",
                        ),
                        name="changeset_dates_in_order",
                        violation_error_message="The change would be reverted before it is published.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "trial")),
                        fields=("state",),
                        name="changeset_one_trial",
                        violation_error_message="Another change is being tried on a share of the clients.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("approved_by", models.F("user")), _negated=True),
                            ("approved_by__isnull", True),
                            ("user__isnull", True),
                            _connector="OR",
                        ),
                        name="changeset_approved_by_another",
                        violation_error_message="Nobody approves their own change.",
                    ),
                ],
            },
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
