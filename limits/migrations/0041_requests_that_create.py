"""Requests with an Idempotency-Key that created an object."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0040_identities"),
    ]

    operations = [
        migrations.CreateModel(
            name="CreatingRequest",
            fields=[
                ("key", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("created", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(db_index=True)),
                (
                    "change",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="limits.changeset",
                    ),
                ),
            ],
        ),
    ]
