"""Names of models and fields. Tables and columns keep their names, because servers of an earlier release may run
beside those of this one; the permissions of quota thresholds move with the model."""

from typing import Any

from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Replace


def rename_permissions(old: str, new: str) -> Any:
    """Renames the permissions in place, so that groups and users keep them: Django would create others beside them."""

    def rename(apps: Any, schema_editor: Any) -> None:
        permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="limits")
        of_model = permissions.filter(codename__endswith=f"_{old.replace(' ', '')}")
        codename = Replace("codename", Value(old.replace(" ", "")), Value(new.replace(" ", "")))
        of_model.update(codename=codename, name=Replace(F("name"), Value(old), Value(new)))

    return rename


def time_in(column: str) -> Any:
    return models.DateTimeField(null=True, blank=True, db_column=column)


OLD, NEW = "quota crossing", "quota threshold"


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0017_terms"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterField("alert", "told_at", time_in("told_at")),
        migrations.AlterField("alert", "resolution_told_at", time_in("resolution_told_at")),
        migrations.RenameField("alert", "told_at", "notified_at"),
        migrations.RenameField("alert", "resolution_told_at", "resolution_notified_at"),
        migrations.AlterModelTable("quotacrossing", "limits_quotacrossing"),
        migrations.RenameModel("QuotaCrossing", "QuotaThreshold"),
        migrations.RunPython(rename_permissions(OLD, NEW), rename_permissions(NEW, OLD)),
    ]
