"""Policies may admit beyond their quota; units beyond quotas by minute, hour and day; alerts on units over quota."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0041_requests_that_create"),
    ]

    operations = [
        migrations.CreateModel(
            name="PolicyUsage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(blank=True, max_length=256, verbose_name="client")),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("policy", models.CharField(max_length=64)),
                ("granted", models.BigIntegerField()),
                ("over_quota", models.BigIntegerField()),
                ("minute", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "usage beyond quotas",
                "ordering": ["-minute", "client_key", "endpoint", "policy"],
            },
        ),
        migrations.CreateModel(
            name="PolicyUsageDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(blank=True, max_length=256, verbose_name="client")),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("policy", models.CharField(max_length=64)),
                ("granted", models.BigIntegerField()),
                ("over_quota", models.BigIntegerField()),
                ("day", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "usage beyond quotas by day",
                "ordering": ["-day", "client_key", "endpoint", "policy"],
            },
        ),
        migrations.CreateModel(
            name="PolicyUsageHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(blank=True, max_length=256, verbose_name="client")),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("policy", models.CharField(max_length=64)),
                ("granted", models.BigIntegerField()),
                ("over_quota", models.BigIntegerField()),
                ("hour", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "usage beyond quotas by hour",
                "ordering": ["-hour", "client_key", "endpoint", "policy"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="alertrule",
            name="alertrule_metric_known",
        ),
        migrations.AddField(
            model_name="historicalpolicy",
            name="over_quota",
            field=models.CharField(
                choices=[("deny", "deny"), ("count", "count")],
                db_default="deny",
                default="deny",
                help_text="For calendar limits. deny: requests beyond the quota are denied; count: they are admitted, and the units beyond the quota are counted.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="policy",
            name="over_quota",
            field=models.CharField(
                choices=[("deny", "deny"), ("count", "count")],
                db_default="deny",
                default="deny",
                help_text="For calendar limits. deny: requests beyond the quota are denied; count: they are admitted, and the units beyond the quota are counted.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="metric",
            field=models.CharField(
                choices=[
                    ("throttled", "throttled"),
                    ("throttled_ratio", "throttled ratio"),
                    ("usage_ratio", "usage ratio"),
                    ("overdrawn", "overdrawn"),
                    ("over_quota", "over quota"),
                    ("platform", "platform"),
                ],
                default="throttled",
                help_text="throttled: number of denied requests. throttled ratio: denied / all requests. usage ratio: a client reached a threshold of a quota. overdrawn: cost beyond quotas, debited. over quota: cost admitted and counted beyond quotas. platform: a problem with the platform itself.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="threshold",
            field=models.FloatField(
                help_text="throttled: number of requests in the window. throttled ratio: 0 to 1. usage ratio: 0.5, 0.8, 0.9 or 1. overdrawn, over quota: units of cost in the window. platform: 1."
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="metric",
            field=models.CharField(
                choices=[
                    ("throttled", "throttled"),
                    ("throttled_ratio", "throttled ratio"),
                    ("usage_ratio", "usage ratio"),
                    ("overdrawn", "overdrawn"),
                    ("over_quota", "over quota"),
                    ("platform", "platform"),
                ],
                default="throttled",
                help_text="throttled: number of denied requests. throttled ratio: denied / all requests. usage ratio: a client reached a threshold of a quota. overdrawn: cost beyond quotas, debited. over quota: cost admitted and counted beyond quotas. platform: a problem with the platform itself.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="threshold",
            field=models.FloatField(
                help_text="throttled: number of requests in the window. throttled ratio: 0 to 1. usage ratio: 0.5, 0.8, 0.9 or 1. overdrawn, over quota: units of cost in the window. platform: 1."
            ),
        ),
        migrations.AddConstraint(
            model_name="alertrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "metric__in",
                        ["throttled", "throttled_ratio", "usage_ratio", "overdrawn", "over_quota", "platform"],
                    )
                ),
                name="alertrule_metric_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="policy",
            constraint=models.CheckConstraint(
                condition=models.Q(("over_quota__in", ["deny", "count"])), name="policy_over_quota_known"
            ),
        ),
        migrations.AddIndex(
            model_name="policyusage",
            index=models.Index(fields=["client_key", "-minute"], name="policyusage_of_client"),
        ),
        migrations.AddConstraint(
            model_name="policyusage",
            constraint=models.UniqueConstraint(
                fields=("minute", "client_key", "endpoint", "policy"), name="policyusage_one_row"
            ),
        ),
        migrations.AddIndex(
            model_name="policyusageday",
            index=models.Index(fields=["client_key", "-day"], name="policyusageday_of_client"),
        ),
        migrations.AddConstraint(
            model_name="policyusageday",
            constraint=models.UniqueConstraint(
                fields=("day", "client_key", "endpoint", "policy"), name="policyusageday_one_row"
            ),
        ),
        migrations.AddIndex(
            model_name="policyusagehour",
            index=models.Index(fields=["client_key", "-hour"], name="policyusagehour_of_client"),
        ),
        migrations.AddConstraint(
            model_name="policyusagehour",
            constraint=models.UniqueConstraint(
                fields=("hour", "client_key", "endpoint", "policy"), name="policyusagehour_one_row"
            ),
        ),
    ]
