"""Indexes for the reports of policies in shadow mode."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0034_trials"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="policydenial",
            index=models.Index(
                condition=models.Q(("mode", "shadow")), fields=["policy", "minute"], name="policydenial_shadow"
            ),
        ),
        migrations.AddIndex(
            model_name="policydenialday",
            index=models.Index(
                condition=models.Q(("mode", "shadow")), fields=["policy", "day"], name="policydenialday_shadow"
            ),
        ),
        migrations.AddIndex(
            model_name="policydenialhour",
            index=models.Index(
                condition=models.Q(("mode", "shadow")), fields=["policy", "hour"], name="policydenialhour_shadow"
            ),
        ),
    ]
