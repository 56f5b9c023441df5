"""The scope “manage” becomes “clients”, and there are the scopes “rules”, “publish” and “reports”.

The published ruleset does not change by this (:mod:`ratelimit_enforcer.domain.ruleset`), so no mark of changed rules is
left: a worker of the previous release, which would publish because of it, cannot read the new name.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

FORWARDS = """
ALTER TABLE limits_apitoken DISABLE TRIGGER limits_apitoken_changed;
UPDATE limits_apitoken SET scopes = array_replace(scopes, 'manage', 'clients') WHERE 'manage' = ANY (scopes);
ALTER TABLE limits_apitoken ENABLE TRIGGER limits_apitoken_changed;
UPDATE limits_historicalapitoken SET scopes = array_replace(scopes, 'manage', 'clients')
WHERE 'manage' = ANY (scopes);
"""

# A token without a scope is not allowed, and one that had only new scopes must not get any other right.
BACKWARDS = """
UPDATE limits_apitoken SET revoked_at = coalesce(revoked_at, now()), scopes = '{metrics}'
WHERE scopes <@ '{rules,publish,reports}';
UPDATE limits_apitoken SET scopes = array_replace(
    array_remove(array_remove(array_remove(scopes, 'rules'), 'publish'), 'reports'), 'clients', 'manage');
UPDATE limits_historicalapitoken SET scopes = array_replace(
    array_remove(array_remove(array_remove(scopes, 'rules'), 'publish'), 'reports'), 'clients', 'manage');
"""


def scopes() -> django.contrib.postgres.fields.ArrayField:
    return django.contrib.postgres.fields.ArrayField(
        base_field=models.CharField(
            choices=[
                ("check", "check"),
                ("adjust", "adjust"),
                ("clients", "clients"),
                ("rules", "rules"),
                ("publish", "publish"),
                ("reports", "reports"),
                ("metrics", "metrics"),
            ],
            max_length=10,
        ),
        help_text="check: request decisions; adjust: charge, refund and set limits over gRPC; clients: change clients; rules: change rules; publish: publish rules without approval; reports: read reports; metrics: read metrics.",
        size=None,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0031_change_sets"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="apitoken",
            name="apitoken_scopes_known",
        ),
        migrations.AlterField(model_name="apitoken", name="scopes", field=scopes()),
        migrations.AlterField(model_name="historicalapitoken", name="scopes", field=scopes()),
        migrations.RunSQL(FORWARDS, BACKWARDS),
        migrations.AddConstraint(
            model_name="apitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("scopes__contained_by", ["check", "adjust", "clients", "rules", "publish", "reports", "metrics"]),
                    ("scopes__len__gte", 1),
                ),
                name="apitoken_scopes_known",
            ),
        ),
    ]
