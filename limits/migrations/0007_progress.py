from typing import Any

from django.db import migrations, models
from django.utils import timezone


def begin_now(apps: Any, schema_editor: Any) -> None:
    """Where no drain ever comes, its lag grows from here on, and is seen."""
    apps.get_model("limits", "Progress").objects.create(work="drain", at=timezone.now())


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0006_counter_resets"),
    ]

    operations = [
        migrations.CreateModel(
            name="Progress",
            fields=[
                ("work", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.RunPython(begin_now, migrations.RunPython.noop),
    ]
