from typing import Any

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import limits.models.clients
import limits.models.fields
from limits.migrations._operations import TextsOnly

PERMISSIONS = {
    "block_client": "Can block and unblock clients",
    "reset_client": "Can reset counters of clients",
}


def rename_permissions(apps: Any, schema_editor: Any) -> None:
    """Django does not update the names of existing permissions."""
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="limits")
    for codename, name in PERMISSIONS.items():
        permissions.filter(codename=codename).update(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0018_notified_at_and_quota_thresholds"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    texts = [
        migrations.AlterModelOptions(
            name="client",
            options={
                "ordering": ["key"],
                "permissions": [
                    ("block_client", "Can block and unblock clients"),
                    ("reset_client", "Can reset counters of clients"),
                ],
            },
        ),
        migrations.AlterField(
            model_name="alert",
            name="highest",
            field=models.FloatField(help_text="Highest value of the metric while the alert was open."),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="client_key",
            field=models.CharField(
                blank=True, help_text="Client key. Empty: all clients.", max_length=256, verbose_name="client"
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="cooldown",
            field=models.PositiveIntegerField(
                default=600, help_text="Minimum number of seconds between two notifications about the same subject."
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="emails",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.EmailField(max_length=254),
                blank=True,
                default=list,
                help_text="Email addresses.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: all endpoints.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="limits.endpoint",
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="group_by",
            field=models.CharField(
                blank=True,
                choices=[("client", "client"), ("endpoint", "endpoint"), ("policy", "policy")],
                help_text="Evaluates each client, endpoint or policy separately. Empty: all together.",
                max_length=10,
                verbose_name="group by",
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
                    ("platform", "platform"),
                ],
                default="throttled",
                help_text="throttled: number of denied requests. throttled ratio: denied / all requests. usage ratio: a client reached a threshold of a quota. platform: a problem with the platform itself.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="min_requests",
            field=models.BigIntegerField(
                default=1,
                help_text="throttled ratio: the rule does not fire with fewer requests in the window.",
                verbose_name="minimum requests",
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="name",
            field=models.CharField(
                help_text="Such as “search-abuse”. Message subjects begin with the name.",
                max_length=100,
                unique=True,
                validators=[limits.models.fields.validate_printable],
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="notify_resolved",
            field=models.BooleanField(default=False, verbose_name="notify when resolved"),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: all plans.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="limits.plan",
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="policy",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: all policies.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="limits.policy",
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="threshold",
            field=models.FloatField(
                help_text="throttled: number of requests in the window. throttled ratio: 0 to 1. usage ratio: 0.5, 0.8, 0.9 or 1. platform: 1."
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="webhooks",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=500),
                blank=True,
                default=list,
                help_text="URLs that receive a signed POST request.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="alertrule",
            name="window",
            field=models.PositiveIntegerField(
                default=60, help_text="In seconds, as whole minutes: 60 for one minute, 300 for five."
            ),
        ),
        migrations.AlterField(
            model_name="apitoken",
            name="name",
            field=models.CharField(
                help_text="Purpose, such as “checkout service”.",
                max_length=200,
                unique=True,
                validators=[limits.models.fields.validate_printable],
            ),
        ),
        migrations.AlterField(
            model_name="apitoken",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[("check", "check"), ("manage", "manage"), ("metrics", "metrics")], max_length=10
                ),
                help_text="check: request decisions; manage: change clients; metrics: read metrics.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="client",
            name="key",
            field=models.CharField(
                help_text="Sent in check requests as “client”. Cannot be changed later.",
                max_length=256,
                unique=True,
                validators=[limits.models.clients.validate_key],
            ),
        ),
        migrations.AlterField(
            model_name="client",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: the default plan.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="clients",
                to="limits.plan",
            ),
        ),
        migrations.AlterField(
            model_name="client",
            name="status",
            field=models.CharField(
                choices=[("active", "active"), ("exempt", "exempt"), ("blocked", "blocked")],
                default="active",
                help_text="exempt: no limits apply, and no quota is consumed; blocked: all requests are denied.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="clientimport",
            name="problem_count",
            field=models.PositiveIntegerField(default=0, verbose_name="lines with errors"),
        ),
        migrations.AlterField(
            model_name="clientimport",
            name="reason",
            field=models.CharField(
                help_text="One sentence, recorded in the history.",
                max_length=500,
                validators=[limits.models.fields.validate_printable],
            ),
        ),
        migrations.AlterField(
            model_name="clientimport",
            name="state",
            field=models.CharField(
                choices=[
                    ("checking", "being checked"),
                    ("refused", "refused"),
                    ("checked", "ready to import"),
                    ("importing", "being imported"),
                    ("done", "imported"),
                    ("failed", "failed"),
                ],
                default="checking",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="endpoint",
            name="cost",
            field=models.PositiveIntegerField(
                default=1,
                help_text="Quota that one request consumes, unless the check request states another cost.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(1000000),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="endpoint",
            name="slug",
            field=models.CharField(
                help_text="Identifies the endpoint in check requests and in the config file. Cannot be changed later.",
                max_length=64,
                unique=True,
                validators=[limits.models.fields.validate_slug],
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="client_key",
            field=models.CharField(
                blank=True, help_text="Client key. Empty: all clients.", max_length=256, verbose_name="client"
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="cooldown",
            field=models.PositiveIntegerField(
                default=600, help_text="Minimum number of seconds between two notifications about the same subject."
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="emails",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.EmailField(max_length=254),
                blank=True,
                default=list,
                help_text="Email addresses.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Empty: all endpoints.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.endpoint",
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="group_by",
            field=models.CharField(
                blank=True,
                choices=[("client", "client"), ("endpoint", "endpoint"), ("policy", "policy")],
                help_text="Evaluates each client, endpoint or policy separately. Empty: all together.",
                max_length=10,
                verbose_name="group by",
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
                    ("platform", "platform"),
                ],
                default="throttled",
                help_text="throttled: number of denied requests. throttled ratio: denied / all requests. usage ratio: a client reached a threshold of a quota. platform: a problem with the platform itself.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="min_requests",
            field=models.BigIntegerField(
                default=1,
                help_text="throttled ratio: the rule does not fire with fewer requests in the window.",
                verbose_name="minimum requests",
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="name",
            field=models.CharField(
                db_index=True,
                help_text="Such as “search-abuse”. Message subjects begin with the name.",
                max_length=100,
                validators=[limits.models.fields.validate_printable],
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="notify_resolved",
            field=models.BooleanField(default=False, verbose_name="notify when resolved"),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Empty: all plans.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.plan",
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="policy",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Empty: all policies.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.policy",
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="threshold",
            field=models.FloatField(
                help_text="throttled: number of requests in the window. throttled ratio: 0 to 1. usage ratio: 0.5, 0.8, 0.9 or 1. platform: 1."
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="webhooks",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=500),
                blank=True,
                default=list,
                help_text="URLs that receive a signed POST request.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="historicalalertrule",
            name="window",
            field=models.PositiveIntegerField(
                default=60, help_text="In seconds, as whole minutes: 60 for one minute, 300 for five."
            ),
        ),
        migrations.AlterField(
            model_name="historicalapitoken",
            name="name",
            field=models.CharField(
                db_index=True,
                help_text="Purpose, such as “checkout service”.",
                max_length=200,
                validators=[limits.models.fields.validate_printable],
            ),
        ),
        migrations.AlterField(
            model_name="historicalapitoken",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[("check", "check"), ("manage", "manage"), ("metrics", "metrics")], max_length=10
                ),
                help_text="check: request decisions; manage: change clients; metrics: read metrics.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="historicalclient",
            name="key",
            field=models.CharField(
                db_index=True,
                help_text="Sent in check requests as “client”. Cannot be changed later.",
                max_length=256,
                validators=[limits.models.clients.validate_key],
            ),
        ),
        migrations.AlterField(
            model_name="historicalclient",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Empty: the default plan.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.plan",
            ),
        ),
        migrations.AlterField(
            model_name="historicalclient",
            name="status",
            field=models.CharField(
                choices=[("active", "active"), ("exempt", "exempt"), ("blocked", "blocked")],
                default="active",
                help_text="exempt: no limits apply, and no quota is consumed; blocked: all requests are denied.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="historicalendpoint",
            name="cost",
            field=models.PositiveIntegerField(
                default=1,
                help_text="Quota that one request consumes, unless the check request states another cost.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(1000000),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="historicalendpoint",
            name="slug",
            field=models.CharField(
                db_index=True,
                help_text="Identifies the endpoint in check requests and in the config file. Cannot be changed later.",
                max_length=64,
                validators=[limits.models.fields.validate_slug],
            ),
        ),
        migrations.AlterField(
            model_name="historicaloverride",
            name="ends_at",
            field=models.DateTimeField(blank=True, help_text="Empty: no end.", null=True),
        ),
        migrations.AlterField(
            model_name="historicaloverride",
            name="starts_at",
            field=models.DateTimeField(blank=True, help_text="Empty: immediately.", null=True),
        ),
        migrations.AlterField(
            model_name="historicaloverridelimit",
            name="algorithm",
            field=models.CharField(
                choices=[
                    ("sliding_window", "sliding window"),
                    ("token_bucket", "token bucket"),
                    ("fixed_window", "fixed window"),
                    ("calendar", "calendar"),
                ],
                default="sliding_window",
                help_text="A sliding window never admits more than the quota in any period of that length. A token bucket refills steadily and allows bursts. A fixed window resets at each full minute, hour, …; a calendar limit at each full hour, day, week or month in a time zone.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="historicaloverridelimit",
            name="burst",
            field=models.PositiveBigIntegerField(
                blank=True, help_text="For token buckets: the largest burst. Empty: the quota.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="historicaloverridelimit",
            name="period",
            field=models.CharField(
                blank=True,
                choices=[("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month")],
                help_text="For calendar limits, instead of a window.",
                max_length=10,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="historicaloverridelimit",
            name="quota",
            field=models.PositiveBigIntegerField(help_text="Maximum in the window. 0 denies all requests."),
        ),
        migrations.AlterField(
            model_name="historicalplan",
            name="is_default",
            field=models.BooleanField(
                default=False,
                help_text="The plan of clients without a plan and of unregistered clients. Only one plan is the default: ticking the box here clears it on the previous default plan.",
                verbose_name="default plan",
            ),
        ),
        migrations.AlterField(
            model_name="historicalplan",
            name="name",
            field=models.CharField(
                help_text="The name that colleagues and customers know.",
                max_length=200,
                validators=[limits.models.fields.validate_printable],
            ),
        ),
        migrations.AlterField(
            model_name="historicalplan",
            name="slug",
            field=models.CharField(
                db_index=True,
                help_text="Identifies the plan in the config file and in API responses. Cannot be changed later.",
                max_length=64,
                validators=[limits.models.fields.validate_slug],
            ),
        ),
        migrations.AlterField(
            model_name="historicalplatform",
            name="shadow_all",
            field=models.BooleanField(
                default=False,
                help_text="While the switch is on, policies report the requests that they would deny, but deny none. Blocked clients stay blocked.",
                verbose_name="emergency switch",
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicy",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Empty: all requests of a client together, on any endpoint.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.endpoint",
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicy",
            name="mode",
            field=models.CharField(
                choices=[("enforce", "enforce"), ("shadow", "shadow"), ("disabled", "disabled")],
                default="enforce",
                help_text="enforce: deny requests over the limit; shadow: only report requests over the limit; disabled: not evaluated.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicy",
            name="on_store_failure",
            field=models.CharField(
                choices=[("local", "local"), ("allow", "allow"), ("deny", "deny")],
                default="local",
                help_text="local: each server enforces its share of the quota; allow: admit all; deny: deny all.",
                max_length=10,
                verbose_name="if Redis is down",
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicy",
            name="partition",
            field=models.CharField(
                choices=[("client", "client"), ("global", "global")],
                default="client",
                help_text="client: each client separately; global: all clients together, to protect the endpoint.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicy",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Empty: all plans.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.plan",
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicy",
            name="slug",
            field=models.CharField(
                db_index=True,
                help_text="Identifies the policy in responses and headers. Cannot be changed later: each slug has separate counters.",
                max_length=64,
                validators=[limits.models.fields.validate_slug],
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicylimit",
            name="algorithm",
            field=models.CharField(
                choices=[
                    ("sliding_window", "sliding window"),
                    ("token_bucket", "token bucket"),
                    ("fixed_window", "fixed window"),
                    ("calendar", "calendar"),
                ],
                default="sliding_window",
                help_text="A sliding window never admits more than the quota in any period of that length. A token bucket refills steadily and allows bursts. A fixed window resets at each full minute, hour, …; a calendar limit at each full hour, day, week or month in a time zone.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicylimit",
            name="burst",
            field=models.PositiveBigIntegerField(
                blank=True, help_text="For token buckets: the largest burst. Empty: the quota.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicylimit",
            name="period",
            field=models.CharField(
                blank=True,
                choices=[("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month")],
                help_text="For calendar limits, instead of a window.",
                max_length=10,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="historicalpolicylimit",
            name="quota",
            field=models.PositiveBigIntegerField(help_text="Maximum in the window. 0 denies all requests."),
        ),
        migrations.AlterField(
            model_name="historicalroute",
            name="method",
            field=models.CharField(default="GET", help_text="GET, POST, …, or * for all methods.", max_length=20),
        ),
        migrations.AlterField(
            model_name="historicalroute",
            name="path",
            field=models.CharField(
                help_text="Such as /api/products/{id}. A trailing /* matches every path below.", max_length=500
            ),
        ),
        migrations.AlterField(
            model_name="override",
            name="ends_at",
            field=models.DateTimeField(blank=True, help_text="Empty: no end.", null=True),
        ),
        migrations.AlterField(
            model_name="override",
            name="starts_at",
            field=models.DateTimeField(blank=True, help_text="Empty: immediately.", null=True),
        ),
        migrations.AlterField(
            model_name="overridelimit",
            name="algorithm",
            field=models.CharField(
                choices=[
                    ("sliding_window", "sliding window"),
                    ("token_bucket", "token bucket"),
                    ("fixed_window", "fixed window"),
                    ("calendar", "calendar"),
                ],
                default="sliding_window",
                help_text="A sliding window never admits more than the quota in any period of that length. A token bucket refills steadily and allows bursts. A fixed window resets at each full minute, hour, …; a calendar limit at each full hour, day, week or month in a time zone.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="overridelimit",
            name="burst",
            field=models.PositiveBigIntegerField(
                blank=True, help_text="For token buckets: the largest burst. Empty: the quota.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="overridelimit",
            name="period",
            field=models.CharField(
                blank=True,
                choices=[("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month")],
                help_text="For calendar limits, instead of a window.",
                max_length=10,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="overridelimit",
            name="quota",
            field=models.PositiveBigIntegerField(help_text="Maximum in the window. 0 denies all requests."),
        ),
        migrations.AlterField(
            model_name="plan",
            name="is_default",
            field=models.BooleanField(
                default=False,
                help_text="The plan of clients without a plan and of unregistered clients. Only one plan is the default: ticking the box here clears it on the previous default plan.",
                verbose_name="default plan",
            ),
        ),
        migrations.AlterField(
            model_name="plan",
            name="name",
            field=models.CharField(
                help_text="The name that colleagues and customers know.",
                max_length=200,
                validators=[limits.models.fields.validate_printable],
            ),
        ),
        migrations.AlterField(
            model_name="plan",
            name="slug",
            field=models.CharField(
                help_text="Identifies the plan in the config file and in API responses. Cannot be changed later.",
                max_length=64,
                unique=True,
                validators=[limits.models.fields.validate_slug],
            ),
        ),
        migrations.AlterField(
            model_name="platform",
            name="shadow_all",
            field=models.BooleanField(
                default=False,
                help_text="While the switch is on, policies report the requests that they would deny, but deny none. Blocked clients stay blocked.",
                verbose_name="emergency switch",
            ),
        ),
        migrations.AlterField(
            model_name="policy",
            name="endpoint",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: all requests of a client together, on any endpoint.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="policies",
                to="limits.endpoint",
            ),
        ),
        migrations.AlterField(
            model_name="policy",
            name="mode",
            field=models.CharField(
                choices=[("enforce", "enforce"), ("shadow", "shadow"), ("disabled", "disabled")],
                default="enforce",
                help_text="enforce: deny requests over the limit; shadow: only report requests over the limit; disabled: not evaluated.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="policy",
            name="on_store_failure",
            field=models.CharField(
                choices=[("local", "local"), ("allow", "allow"), ("deny", "deny")],
                default="local",
                help_text="local: each server enforces its share of the quota; allow: admit all; deny: deny all.",
                max_length=10,
                verbose_name="if Redis is down",
            ),
        ),
        migrations.AlterField(
            model_name="policy",
            name="partition",
            field=models.CharField(
                choices=[("client", "client"), ("global", "global")],
                default="client",
                help_text="client: each client separately; global: all clients together, to protect the endpoint.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="policy",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: all plans.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="policies",
                to="limits.plan",
            ),
        ),
        migrations.AlterField(
            model_name="policy",
            name="slug",
            field=models.CharField(
                help_text="Identifies the policy in responses and headers. Cannot be changed later: each slug has separate counters.",
                max_length=64,
                unique=True,
                validators=[limits.models.fields.validate_slug],
            ),
        ),
        migrations.AlterField(
            model_name="policylimit",
            name="algorithm",
            field=models.CharField(
                choices=[
                    ("sliding_window", "sliding window"),
                    ("token_bucket", "token bucket"),
                    ("fixed_window", "fixed window"),
                    ("calendar", "calendar"),
                ],
                default="sliding_window",
                help_text="A sliding window never admits more than the quota in any period of that length. A token bucket refills steadily and allows bursts. A fixed window resets at each full minute, hour, …; a calendar limit at each full hour, day, week or month in a time zone.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="policylimit",
            name="burst",
            field=models.PositiveBigIntegerField(
                blank=True, help_text="For token buckets: the largest burst. Empty: the quota.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="policylimit",
            name="period",
            field=models.CharField(
                blank=True,
                choices=[("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month")],
                help_text="For calendar limits, instead of a window.",
                max_length=10,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="policylimit",
            name="quota",
            field=models.PositiveBigIntegerField(help_text="Maximum in the window. 0 denies all requests."),
        ),
        migrations.AlterField(
            model_name="publication",
            name="state",
            field=models.CharField(
                choices=[("pending", "not live yet"), ("partial", "partially live"), ("live", "live")],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="route",
            name="method",
            field=models.CharField(default="GET", help_text="GET, POST, …, or * for all methods.", max_length=20),
        ),
        migrations.AlterField(
            model_name="route",
            name="path",
            field=models.CharField(
                help_text="Such as /api/products/{id}. A trailing /* matches every path below.", max_length=500
            ),
        ),
        migrations.AlterConstraint(
            model_name="override",
            name="override_ends_after_start",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("starts_at", None), ("ends_at", None), ("ends_at__gt", models.F("starts_at")), _connector="OR"
                ),
                name="override_ends_after_start",
                violation_error_message="The end must be after the start.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="override",
            name="override_no_overlap",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[
                    (
                        models.Func(models.F("client"), models.F("client"), models.Value("[]"), function="int8range"),
                        "&&",
                    ),
                    (
                        models.Func(models.F("policy"), models.F("policy"), models.Value("[]"), function="int8range"),
                        "&&",
                    ),
                    (
                        models.Func(
                            "starts_at",
                            "ends_at",
                            function="tstzrange",
                            output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField(),
                        ),
                        "&&",
                    ),
                ],
                name="override_no_overlap",
                violation_error_message="Overlaps another override of this client and policy.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="overridelimit",
            name="overridelimit_one_per_window",
            constraint=models.UniqueConstraint(
                condition=models.Q(("window__isnull", False)),
                fields=("override", "algorithm", "window"),
                name="overridelimit_one_per_window",
                violation_error_message="Only one limit per algorithm and window is allowed.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="overridelimit",
            name="overridelimit_one_per_period",
            constraint=models.UniqueConstraint(
                condition=models.Q(("period__isnull", False)),
                fields=("override", "period"),
                name="overridelimit_one_per_period",
                violation_error_message="Only one limit per algorithm and window is allowed.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="plan",
            name="plan_one_default",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_default", True)),
                fields=("is_default",),
                name="plan_one_default",
                violation_error_message="Another plan is already the default.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="policylimit",
            name="policylimit_one_per_window",
            constraint=models.UniqueConstraint(
                condition=models.Q(("window__isnull", False)),
                fields=("policy", "algorithm", "window"),
                name="policylimit_one_per_window",
                violation_error_message="Only one limit per algorithm and window is allowed.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="policylimit",
            name="policylimit_one_per_period",
            constraint=models.UniqueConstraint(
                condition=models.Q(("period__isnull", False)),
                fields=("policy", "period"),
                name="policylimit_one_per_period",
                violation_error_message="Only one limit per algorithm and window is allowed.",
            ),
        ),
    ]
    operations = [
        TextsOnly(texts),
        migrations.RunPython(rename_permissions, migrations.RunPython.noop),
    ]
