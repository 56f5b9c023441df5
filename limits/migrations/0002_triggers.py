"""What must happen at every change, whoever makes it.

Signals do not fire for ``QuerySet.update()``, bulk operations and psql; triggers do. They give each
change of a client a new revision and put it into the outbox, they mark that rules changed, and
they keep slugs and keys as they are.
"""

from django.db import migrations

REVISIONS = """
CREATE SEQUENCE limits_client_revision;

CREATE FUNCTION limits_client_revise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.key <> OLD.key THEN
        RAISE EXCEPTION 'The key of a client never changes (%).', OLD.key USING ERRCODE = 'check_violation';
    END IF;
    NEW.revision := nextval('limits_client_revision');
    RETURN NEW;
END $$;

CREATE TRIGGER limits_client_revise BEFORE INSERT OR UPDATE ON limits_client
    FOR EACH ROW EXECUTE FUNCTION limits_client_revise();

-- One statement for all rows of a bulk operation.
CREATE FUNCTION limits_client_changed() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER limits_client_inserted AFTER INSERT ON limits_client
    REFERENCING NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION limits_client_changed();
CREATE TRIGGER limits_client_updated AFTER UPDATE ON limits_client
    REFERENCING NEW TABLE AS here FOR EACH STATEMENT EXECUTE FUNCTION limits_client_changed();
CREATE TRIGGER limits_client_deleted AFTER DELETE ON limits_client
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION limits_client_changed();

-- An override is part of its client's record: touching the client gives it a new revision. Where
-- the client is being deleted as well there is nothing left to touch. What moves touches both.
CREATE FUNCTION limits_override_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE limits_client SET revision = 0 WHERE id IN (
            SELECT client_id FROM touched UNION SELECT client_id FROM before);
    ELSE
        UPDATE limits_client SET revision = 0 WHERE id IN (SELECT client_id FROM touched);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION limits_overridelimit_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE limits_client SET revision = 0 WHERE id IN (
            SELECT client_id FROM limits_override WHERE id IN (
                SELECT override_id FROM touched UNION SELECT override_id FROM before));
    ELSE
        UPDATE limits_client SET revision = 0 WHERE id IN (
            SELECT client_id FROM limits_override WHERE id IN (SELECT override_id FROM touched));
    END IF;
    RETURN NULL;
END $$;
"""


def _each_statement(table: str, function: str) -> str:
    """One trigger for each kind of change, since a transition table belongs to one kind."""
    kinds = (
        ("INSERT", "NEW TABLE AS touched"),
        ("UPDATE", "OLD TABLE AS before NEW TABLE AS touched"),
        ("DELETE", "OLD TABLE AS touched"),
    )
    return "\n".join(
        f"CREATE TRIGGER limits_{table}_{event.lower()} AFTER {event} ON limits_{table} "
        f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {function}();"
        for event, tables in kinds
    )


RULE_TABLES = ("plan", "endpoint", "route", "policy", "policylimit", "apitoken", "platform")
SLUG_TABLES = ("plan", "endpoint", "policy")

RULES = """
CREATE FUNCTION limits_rules_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO limits_rulechange (created_at) VALUES (now());
    RETURN NULL;
END $$;

CREATE FUNCTION limits_keep_slug() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.slug <> OLD.slug THEN
        RAISE EXCEPTION 'A slug never changes (%).', OLD.slug USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""

FORWARDS = "\n".join(
    [
        REVISIONS,
        _each_statement("override", "limits_override_changed"),
        _each_statement("overridelimit", "limits_overridelimit_changed"),
        RULES,
        *(
            f"CREATE TRIGGER limits_{table}_changed AFTER INSERT OR UPDATE OR DELETE ON limits_{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION limits_rules_changed();"
            for table in RULE_TABLES
        ),
        *(
            f"CREATE TRIGGER limits_{table}_keep_slug BEFORE UPDATE ON limits_{table} "
            "FOR EACH ROW EXECUTE FUNCTION limits_keep_slug();"
            for table in SLUG_TABLES
        ),
    ]
)

BACKWARDS = """
DROP FUNCTION limits_client_revise, limits_client_changed, limits_override_changed,
    limits_overridelimit_changed, limits_rules_changed, limits_keep_slug CASCADE;
DROP SEQUENCE limits_client_revision;
"""


class Migration(migrations.Migration):
    dependencies = [("limits", "0001_tables")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
