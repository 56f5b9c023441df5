"""Parents of clients. Triggers keep trees free of circles and at most four levels high. When a client gets another
parent, the client and all of its descendants get new revisions, and the outbox names the root that they had."""

import django.db.models.deletion
from django.db import migrations, models

MAX_LEVELS = 4

MOVED = """moved (id, level) AS (
    SELECT id, 0 FROM here JOIN gone USING (id) WHERE here.parent_id IS DISTINCT FROM gone.parent_id
    UNION ALL
    SELECT client.id, moved.level + 1 FROM moved JOIN limits_client AS client ON client.parent_id = moved.id
)"""
"""Clients that got another parent, and their descendants, with levels from the former down."""

EARLIER_ROOTS = """chain (id, place, level) AS (
    SELECT id, id, 0 FROM changed
    UNION ALL
    SELECT * FROM (
        SELECT chain.id, CASE WHEN gone.id IS NULL THEN client.parent_id ELSE gone.parent_id END, chain.level + 1
        FROM chain
        LEFT JOIN limits_client AS client ON client.id = chain.place
        LEFT JOIN gone ON gone.id = chain.place
    ) AS above (id, place, level) WHERE place IS NOT NULL
), earlier (id, root) AS (
    SELECT DISTINCT ON (chain.id) chain.id, coalesce(client.key, gone.key)
    FROM chain
    LEFT JOIN limits_client AS client ON client.id = chain.place
    LEFT JOIN gone ON gone.id = chain.place
    ORDER BY chain.id, chain.level DESC
)"""
"""The keys of the roots that ``changed`` clients had before the statement. ``gone``: the rows as they were."""

TREES = f"""
CREATE OR REPLACE FUNCTION limits_client_revise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.key <> OLD.key THEN
        RAISE EXCEPTION 'The key of a client never changes (%).', OLD.key USING ERRCODE = 'check_violation';
    END IF;
    NEW.revision := nextval('limits_client_revision');
    IF TG_OP = 'UPDATE' AND NEW.parent_id IS NOT DISTINCT FROM OLD.parent_id THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' OR NEW.parent_id IS NOT NULL THEN
        -- One change at a time: two could close a circle that neither of them sees, and a client that is moved must
        -- take those along that are being added below it.
        PERFORM pg_advisory_xact_lock(hashtext('limits_client_tree'));
        NEW.moved := NEW.revision;
    END IF;
    IF NEW.parent_id IS NOT NULL THEN
        PERFORM limits_client_check_parent(NEW.id, NEW.parent_id);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION limits_client_check_parent(client_id bigint, parent_id bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    levels_above integer;
    levels_below integer;
    closes_circle boolean;
BEGIN
    WITH RECURSIVE above (id, level) AS (
        SELECT limits_client_check_parent.parent_id, 1
        UNION ALL
        SELECT client.parent_id, above.level + 1 FROM above JOIN limits_client AS client ON client.id = above.id
        WHERE client.parent_id IS NOT NULL AND above.level <= {MAX_LEVELS}
    ) SELECT max(level), bool_or(id = client_id) FROM above INTO levels_above, closes_circle;
    IF closes_circle THEN
        RAISE EXCEPTION 'A client cannot be below itself.' USING ERRCODE = 'check_violation';
    END IF;
    WITH RECURSIVE below (id, level) AS (
        SELECT client_id, 0
        UNION ALL
        SELECT client.id, below.level + 1 FROM below JOIN limits_client AS client ON client.parent_id = below.id
        WHERE below.level <= {MAX_LEVELS}
    ) SELECT max(level) FROM below INTO levels_below;
    IF levels_above + 1 + levels_below > {MAX_LEVELS} THEN
        RAISE EXCEPTION 'Clients may have at most {MAX_LEVELS} levels.' USING ERRCODE = 'check_violation';
    END IF;
END $$;

DROP TRIGGER limits_client_updated ON limits_client;
DROP TRIGGER limits_client_deleted ON limits_client;

CREATE OR REPLACE FUNCTION limits_client_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('limits.moving', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO limits_clientchange (client_key, revision, created_at)
            SELECT key, revision, now() FROM here;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO limits_clientchange (client_key, revision, created_at, earlier_root)
            WITH RECURSIVE changed (id) AS (SELECT id FROM gone WHERE parent_id IS NOT NULL), {EARLIER_ROOTS}
            SELECT gone.key, nextval('limits_client_revision'), now(), earlier.root
            FROM gone LEFT JOIN earlier ON earlier.id = gone.id;
    ELSIF NOT EXISTS (
        SELECT FROM here JOIN gone USING (id) WHERE here.parent_id IS DISTINCT FROM gone.parent_id
    ) THEN
        INSERT INTO limits_clientchange (client_key, revision, created_at)
            SELECT key, revision, now() FROM here;
    ELSE
        PERFORM set_config('limits.moving', 'on', true);
        WITH RECURSIVE {MOVED}
            UPDATE limits_client SET revision = 0 WHERE id IN (SELECT id FROM moved EXCEPT SELECT id FROM here);
        PERFORM set_config('limits.moving', 'off', true);
        -- The lowest first: until the client that got another parent leaves the shard of the old root, all
        -- descendants that are still there find the whole tree there.
        INSERT INTO limits_clientchange (client_key, revision, created_at, earlier_root)
            WITH RECURSIVE {MOVED}, changed (id, level) AS (
                SELECT id, max(level) FROM (SELECT id, level FROM moved UNION ALL SELECT id, 0 FROM here) AS each
                GROUP BY id
            ), {EARLIER_ROOTS}
            SELECT client.key, client.revision, now(), earlier.root
            FROM changed JOIN limits_client AS client USING (id) JOIN earlier USING (id) ORDER BY changed.level DESC;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER limits_client_updated AFTER UPDATE ON limits_client
    REFERENCING OLD TABLE AS gone NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION limits_client_changed();
CREATE TRIGGER limits_client_deleted AFTER DELETE ON limits_client
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION limits_client_changed();
"""

WITHOUT_TREES = """
DROP TRIGGER limits_client_updated ON limits_client;
DROP TRIGGER limits_client_deleted ON limits_client;
DROP FUNCTION limits_client_check_parent;

CREATE OR REPLACE FUNCTION limits_client_revise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.key <> OLD.key THEN
        RAISE EXCEPTION 'The key of a client never changes (%).', OLD.key USING ERRCODE = 'check_violation';
    END IF;
    NEW.revision := nextval('limits_client_revision');
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION limits_client_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO limits_clientchange (client_key, revision, created_at)
            SELECT key, nextval('limits_client_revision'), now() FROM gone;
    ELSE
        INSERT INTO limits_clientchange (client_key, revision, created_at)
            SELECT key, revision, now() FROM here;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER limits_client_updated AFTER UPDATE ON limits_client
    REFERENCING NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION limits_client_changed();
CREATE TRIGGER limits_client_deleted AFTER DELETE ON limits_client
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION limits_client_changed();
"""

HELP_OF_PARENT = (
    "The client that this one belongs to, such as the organisation of an API key: the limits of its plan apply too, to "
    "all clients below it together. At most four levels."
)
HELP_OF_PLAN = "Empty: the default plan; for a client with a parent, the limits of its ancestors alone."


class Migration(migrations.Migration):
    dependencies = [("limits", "0024_order_of_clients")]

    operations = [
        migrations.AddField(
            model_name="client",
            name="moved",
            field=models.BigIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="client",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                help_text=HELP_OF_PARENT,
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="children",
                to="limits.client",
            ),
        ),
        migrations.AddField(
            model_name="clientchange",
            name="earlier_root",
            field=models.CharField(editable=False, max_length=256, null=True),
        ),
        migrations.AddField(
            model_name="historicalclient",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text=HELP_OF_PARENT,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.client",
            ),
        ),
        migrations.AlterField(
            model_name="client",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                help_text=HELP_OF_PLAN,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="clients",
                to="limits.plan",
            ),
        ),
        migrations.AlterField(
            model_name="historicalclient",
            name="plan",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text=HELP_OF_PLAN,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="limits.plan",
            ),
        ),
        migrations.RunSQL(TREES, WITHOUT_TREES),
    ]
