"""Who silenced an alert, and why."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0042_over_quota"),
    ]

    operations = [
        migrations.AddField(
            model_name="alert",
            name="silenced_by",
            field=models.CharField(blank=True, db_default="", max_length=200),
        ),
        migrations.AddField(
            model_name="alert",
            name="silence_reason",
            field=models.CharField(blank=True, db_default="", max_length=500),
        ),
    ]
