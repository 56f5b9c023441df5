from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0016_alerts_of_operators_and_support"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="clientimport",
            options={"ordering": ["-id"], "verbose_name": "client import", "verbose_name_plural": "client imports"},
        ),
        migrations.AlterModelOptions(
            name="quotacrossing",
            options={
                "ordering": ["-minute", "client_key", "endpoint", "policy", "mark"],
                "verbose_name_plural": "quota thresholds",
            },
        ),
        migrations.AlterField(
            model_name="historicalpolicy",
            name="on_store_failure",
            field=models.CharField(
                choices=[("local", "local"), ("allow", "allow"), ("deny", "deny")],
                default="local",
                help_text="local: each server goes on by itself with its share of the quota; allow: admit; deny: refuse.",
                max_length=10,
                verbose_name="if Redis is down",
            ),
        ),
        migrations.AlterField(
            model_name="policy",
            name="on_store_failure",
            field=models.CharField(
                choices=[("local", "local"), ("allow", "allow"), ("deny", "deny")],
                default="local",
                help_text="local: each server goes on by itself with its share of the quota; allow: admit; deny: refuse.",
                max_length=10,
                verbose_name="if Redis is down",
            ),
        ),
    ]
