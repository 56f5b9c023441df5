"""The time from which the share of a trial is in force."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0033_requests_that_create_change_sets"),
    ]

    operations = [
        migrations.AddField(
            model_name="changeset", name="tried_since", field=models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddField(
            model_name="historicalchangeset", name="tried_since", field=models.DateTimeField(editable=False, null=True)
        ),
    ]
