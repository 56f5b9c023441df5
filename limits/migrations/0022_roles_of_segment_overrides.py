"""Product managers may edit overrides of segments, and every role may view them. Groups that were renamed or
removed stay as they are. Permissions are made first: Django makes them after the last migration only."""

from typing import Any

from django.contrib.auth.management import create_permissions
from django.db import migrations

from limits.models.roles import PRODUCT_MANAGERS, ROLES

MODELS = ("segmentoverride", "segmentoverridelimit")


def grant(apps: Any, schema_editor: Any) -> None:
    config = apps.get_app_config("limits")
    config.models_module = True
    create_permissions(config, apps=apps, verbosity=0)
    config.models_module = None
    of_models = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label="limits", content_type__model__in=MODELS
    )
    for group in apps.get_model("auth", "Group").objects.filter(name__in=ROLES):
        edits = group.name == PRODUCT_MANAGERS
        group.permissions.add(*(of_models if edits else of_models.filter(codename__startswith="view_")))


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0021_tags_and_segment_overrides"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
