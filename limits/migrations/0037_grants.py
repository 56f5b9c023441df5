"""Grants with their ledger, which product managers may edit and every role may view. Groups that were renamed or removed
stay as they are. Permissions are made first: Django makes them after the last migration only."""

from typing import Any

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import simple_history.models
from django.conf import settings
from django.contrib.auth.management import create_permissions
from django.db import migrations, models

import limits.models.fields
from limits.models.roles import PRODUCT_MANAGERS, ROLES

LEDGER = ("grantuse", "granttotal")

# A grant is part of its client's record, as an override is.
CLIENT_CHANGED = "".join(
    f"CREATE TRIGGER limits_grant_{event.lower()} AFTER {event} ON limits_grant "
    f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION limits_override_changed();"
    for event, tables in (
        ("INSERT", "NEW TABLE AS touched"),
        ("UPDATE", "OLD TABLE AS before NEW TABLE AS touched"),
        ("DELETE", "OLD TABLE AS touched"),
    )
)

# Not by Django, which would miss rows that the drain adds while it collects what to delete.
DELETED_WITH_GRANT = "".join(
    f"ALTER TABLE limits_{table} ADD CONSTRAINT limits_{table}_of_grant FOREIGN KEY (grant_id) "
    "REFERENCES limits_grant (id) ON DELETE CASCADE;"
    for table in LEDGER
)
KEPT = "".join(f"ALTER TABLE limits_{table} DROP CONSTRAINT limits_{table}_of_grant;" for table in LEDGER)


def allow(apps: Any, schema_editor: Any) -> None:
    config = apps.get_app_config("limits")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    of_grants = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="limits", content_type__model__in=["grant", *LEDGER]
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        group.permissions.add(*of_grants.filter(codename__startswith="view_"))
        if group.name == PRODUCT_MANAGERS:
            group.permissions.add(*of_grants.filter(codename__endswith="_grant"))


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("limits", "0036_messages_about_change_sets"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Grant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "amount",
                    models.PositiveBigIntegerField(
                        help_text="Units beyond the quota. What is not used remains available in later periods, until the grant ends.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000000000),
                        ],
                    ),
                ),
                (
                    "starts_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="from"),
                ),
                (
                    "ends_at",
                    models.DateTimeField(help_text="What remains then is no longer available.", verbose_name="until"),
                ),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="0 to 100. Of several grants, the lower priority is used first, then the one that ends first.",
                        validators=[django.core.validators.MaxValueValidator(100)],
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        help_text="Such as “order 2026-118”.",
                        max_length=500,
                        validators=[limits.models.fields.validate_printable],
                    ),
                ),
                ("author", models.CharField(blank=True, editable=False, max_length=200, verbose_name="by")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("request_key", models.CharField(editable=False, max_length=32, null=True, unique=True)),
                ("request_digest", models.CharField(blank=True, editable=False, max_length=64)),
                (
                    "client",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="limits.client"
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        help_text="A policy with a calendar limit, such as a number per month, that counts each client separately.",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to="limits.policy",
                    ),
                ),
            ],
            options={
                "ordering": ["-ends_at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="GrantUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("consumed", models.BigIntegerField()),
                ("returned", models.BigIntegerField()),
                ("hour", models.DateTimeField()),
                (
                    "grant",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="uses",
                        to="limits.grant",
                    ),
                ),
            ],
            options={
                "ordering": ["-hour", "grant"],
            },
        ),
        migrations.CreateModel(
            name="HistoricalGrant",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "amount",
                    models.PositiveBigIntegerField(
                        help_text="Units beyond the quota. What is not used remains available in later periods, until the grant ends.",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000000000),
                        ],
                    ),
                ),
                (
                    "starts_at",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="from"),
                ),
                (
                    "ends_at",
                    models.DateTimeField(help_text="What remains then is no longer available.", verbose_name="until"),
                ),
                (
                    "priority",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="0 to 100. Of several grants, the lower priority is used first, then the one that ends first.",
                        validators=[django.core.validators.MaxValueValidator(100)],
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        help_text="Such as “order 2026-118”.",
                        max_length=500,
                        validators=[limits.models.fields.validate_printable],
                    ),
                ),
                ("author", models.CharField(blank=True, editable=False, max_length=200, verbose_name="by")),
                ("created_at", models.DateTimeField(blank=True, editable=False)),
                ("history_change_reason", models.CharField(max_length=500, null=True)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "client",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="limits.client",
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
                    "policy",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        help_text="A policy with a calendar limit, such as a number per month, that counts each client separately.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="limits.policy",
                    ),
                ),
            ],
            options={
                "verbose_name": "historical grant",
                "verbose_name_plural": "historical grants",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="GrantTotal",
            fields=[
                ("consumed", models.BigIntegerField()),
                ("returned", models.BigIntegerField()),
                (
                    "grant",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="total",
                        serialize=False,
                        to="limits.grant",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("consumed__gte", 0), ("returned__gte", 0)), name="granttotal_not_negative"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(fields=["ends_at"], name="grant_end"),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__range", (1, 1000000000))), name="grant_amount_in_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__lte", 100)), name="grant_priority_in_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_at__gt", models.F("starts_at"))),
                name="grant_ends_after_start",
                violation_error_message="The end must be after the start.",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.UniqueConstraint(
                fields=("client", "policy", "starts_at"),
                name="grant_identity",
                violation_error_message="There is already a grant of this client and policy with this start.",
            ),
        ),
        migrations.AddConstraint(
            model_name="grantuse",
            constraint=models.UniqueConstraint(fields=("grant", "hour"), name="grantuse_one_row"),
        ),
        migrations.AddConstraint(
            model_name="grantuse",
            constraint=models.CheckConstraint(
                condition=models.Q(("consumed__gte", 0), ("returned__gte", 0)), name="grantuse_not_negative"
            ),
        ),
        migrations.RunSQL(CLIENT_CHANGED, migrations.RunSQL.noop),
        migrations.RunSQL(DELETED_WITH_GRANT, KEPT),
        migrations.RunPython(allow, migrations.RunPython.noop),
    ]
