"""Operators and Support may acknowledge and silence alerts: the mails of alerts go to them. Groups that
are there get the permission; one that was renamed or removed stays as it is."""

from typing import Any

from django.db import migrations

from limits.models.roles import HANDLE_ALERTS, HANDLING_ALERTS


def grant(apps: Any, schema_editor: Any) -> None:
    permissions = apps.get_model("auth", "Permission").objects
    found = permissions.filter(content_type__app_label="limits", codename=HANDLE_ALERTS).first()
    for group in apps.get_model("auth", "Group").objects.filter(name__in=HANDLING_ALERTS):
        group.permissions.add(found)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0015_overlap_names_fields"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
