"""Units beyond quotas that arrived late."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("limits", "0045_notification_channels")]

    operations = [
        migrations.AddField(
            model_name="latecount", name="granted", field=models.BigIntegerField(db_default=0, default=0)
        ),
        migrations.AddField(
            model_name="latecount", name="over_quota", field=models.BigIntegerField(db_default=0, default=0)
        ),
    ]
