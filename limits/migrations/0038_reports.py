"""Plan, tags and root of each client by the hour, the default plan by the hour, and counts that arrived late: what usage
reports need besides counts.

Triggers record every change of a client and of the default plan, whoever makes it, a bulk change with one statement. A
change takes effect in the next hour. What there was before this migration is recorded as it is now, for a client since
it was registered.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

HOURS = "date_trunc('hour', now(), 'UTC')"
NEXT = "date_trunc('hour', now() + interval '1 hour' - interval '1 microsecond', 'UTC')"

STATES = """above (id, place, level) AS (
    SELECT id, parent_id, 1 FROM changed WHERE parent_id IS NOT NULL
    UNION ALL
    SELECT above.id, client.parent_id, above.level + 1
    FROM above JOIN limits_client AS client ON client.id = above.place WHERE client.parent_id IS NOT NULL
), top (id, place) AS (
    SELECT DISTINCT ON (id) id, place FROM above ORDER BY id, level DESC
), states (client_key, plan, on_default, tags, root) AS (
    SELECT changed.key, coalesce(plan.slug, ''), changed.plan_id IS NULL AND changed.parent_id IS NULL, changed.tags,
        coalesce(root.key, changed.key)
    FROM changed LEFT JOIN limits_plan AS plan ON plan.id = changed.plan_id
    LEFT JOIN top ON top.id = changed.id LEFT JOIN limits_client AS root ON root.id = top.place
)"""
"""What is recorded of the clients of ``changed``."""

CHANGED = """SELECT here.* FROM here JOIN gone USING (id)
    WHERE current_setting('limits.moving', true) = 'on'
    OR (here.plan_id, here.tags, here.parent_id) IS DISTINCT FROM (gone.plan_id, gone.tags, gone.parent_id)"""
"""The clients of an UPDATE whose state may differ. While a client is moved, the roots of those below it change."""

RECORDING = f"""
CREATE FUNCTION limits_client_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    this_hour timestamptz := {HOURS};
    next_hour timestamptz := {NEXT};
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO limits_recordedclient (client_key, plan, on_default, tags, root, from_hour)
            WITH RECURSIVE changed AS (SELECT * FROM here), {STATES}
            SELECT states.*, greatest(this_hour, (
                SELECT max(until_hour) FROM limits_recordedclient AS earlier
                WHERE earlier.client_key = states.client_key)) FROM states;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM limits_recordedclient AS recorded USING gone
            WHERE recorded.client_key = gone.key AND until_hour IS NULL AND from_hour >= next_hour;
        UPDATE limits_recordedclient AS recorded SET until_hour = next_hour FROM gone
            WHERE recorded.client_key = gone.key AND until_hour IS NULL;
    ELSIF EXISTS ({CHANGED}) THEN
        WITH RECURSIVE changed AS ({CHANGED}), {STATES}, others AS (
            SELECT states.*, recorded.id, recorded.from_hour < next_hour AS began
            FROM states JOIN limits_recordedclient AS recorded USING (client_key)
            WHERE recorded.until_hour IS NULL
            AND (states.plan, states.on_default, states.tags, states.root)
                IS DISTINCT FROM (recorded.plan, recorded.on_default, recorded.tags, recorded.root)
        ), replaced AS (
            UPDATE limits_recordedclient AS recorded
            SET plan = others.plan, on_default = others.on_default, tags = others.tags, root = others.root
            FROM others WHERE recorded.id = others.id AND NOT others.began
        ), ended AS (
            UPDATE limits_recordedclient AS recorded SET until_hour = next_hour
            FROM others WHERE recorded.id = others.id AND others.began
        )
        INSERT INTO limits_recordedclient (client_key, plan, on_default, tags, root, from_hour)
            SELECT client_key, plan, on_default, tags, root, next_hour FROM others WHERE began;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER limits_client_record_inserted AFTER INSERT ON limits_client
    REFERENCING NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION limits_client_record();
CREATE TRIGGER limits_client_record_updated AFTER UPDATE ON limits_client
    REFERENCING OLD TABLE AS gone NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION limits_client_record();
CREATE TRIGGER limits_client_record_deleted AFTER DELETE ON limits_client
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION limits_client_record();

CREATE FUNCTION limits_plan_record() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    this_hour timestamptz := {HOURS};
    next_hour timestamptz := {NEXT};
    present text := (SELECT slug FROM limits_plan WHERE is_default);
BEGIN
    IF present IS NOT DISTINCT FROM (SELECT plan FROM limits_recordeddefaultplan WHERE until_hour IS NULL) THEN
        RETURN NULL;
    END IF;
    DELETE FROM limits_recordeddefaultplan WHERE until_hour IS NULL AND from_hour >= next_hour;
    UPDATE limits_recordeddefaultplan SET until_hour = next_hour WHERE until_hour IS NULL;
    INSERT INTO limits_recordeddefaultplan (plan, from_hour)
        SELECT present, greatest(this_hour, max(until_hour)) FROM limits_recordeddefaultplan HAVING present IS NOT NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER limits_plan_record AFTER INSERT OR UPDATE OR DELETE ON limits_plan
    FOR EACH STATEMENT EXECUTE FUNCTION limits_plan_record();

INSERT INTO limits_recordedclient (client_key, plan, on_default, tags, root, from_hour)
    WITH RECURSIVE changed AS (SELECT * FROM limits_client), {STATES}
    SELECT states.*, date_trunc('hour', created_at, 'UTC')
    FROM states JOIN limits_client ON limits_client.key = states.client_key;
INSERT INTO limits_recordeddefaultplan (plan, from_hour) SELECT slug, to_timestamp(0) FROM limits_plan WHERE is_default;
"""

WITHOUT_RECORDING = """
DROP TRIGGER limits_client_record_inserted ON limits_client;
DROP TRIGGER limits_client_record_updated ON limits_client;
DROP TRIGGER limits_client_record_deleted ON limits_client;
DROP TRIGGER limits_plan_record ON limits_plan;
DROP FUNCTION limits_client_record;
DROP FUNCTION limits_plan_record;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0037_grants"),
    ]

    operations = [
        migrations.CreateModel(
            name="LateCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("client_key", models.CharField(blank=True, max_length=256, verbose_name="client")),
                ("endpoint", models.CharField(blank=True, max_length=64)),
                ("arrived", models.DateTimeField()),
                ("hour", models.DateTimeField()),
                ("outcome", models.CharField(blank=True, db_default="", max_length=10)),
                ("policy", models.CharField(blank=True, db_default="", max_length=64)),
                ("mode", models.CharField(blank=True, db_default="", max_length=10)),
                ("requests", models.BigIntegerField(db_default=0, default=0)),
                ("cost", models.BigIntegerField(db_default=0, default=0)),
                ("reserved", models.BigIntegerField(db_default=0, default=0)),
                ("settlements", models.BigIntegerField(db_default=0, default=0)),
                ("settled", models.BigIntegerField(db_default=0, default=0)),
                ("refunded", models.BigIntegerField(db_default=0, default=0)),
                ("debited", models.BigIntegerField(db_default=0, default=0)),
                ("overdrawn", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                "ordering": ["hour", "client_key"],
                "indexes": [
                    models.Index(fields=["hour"], name="latecount_hour"),
                    models.Index(fields=["client_key"], name="latecount_client"),
                ],
            },
        ),
        migrations.CreateModel(
            name="RecordedClient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("from_hour", models.DateTimeField()),
                ("until_hour", models.DateTimeField(null=True)),
                ("client_key", models.CharField(max_length=256, verbose_name="client")),
                ("plan", models.CharField(blank=True, max_length=64)),
                ("on_default", models.BooleanField()),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), size=None),
                ),
                ("root", models.CharField(blank=True, max_length=256)),
            ],
            options={
                "ordering": ["client_key", "from_hour"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("root", models.F("client_key")), _negated=True),
                        fields=["root"],
                        name="recordedclient_in_tree",
                    ),
                    models.Index(fields=["from_hour"], name="recordedclient_from"),
                    models.Index(
                        condition=models.Q(("until_hour__isnull", False)),
                        fields=["until_hour"],
                        name="recordedclient_until",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("client_key", "from_hour"), name="recordedclient_one_row"),
                    models.CheckConstraint(
                        condition=models.Q(("until_hour__gt", models.F("from_hour"))), name="recordedclient_not_empty"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RecordedDefaultPlan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("from_hour", models.DateTimeField()),
                ("until_hour", models.DateTimeField(null=True)),
                ("plan", models.CharField(max_length=64)),
            ],
            options={
                "ordering": ["from_hour"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("until_hour__gt", models.F("from_hour"))),
                        name="recordeddefaultplan_not_empty",
                    )
                ],
            },
        ),
        migrations.RunSQL(RECORDING, WITHOUT_RECORDING),
    ]
