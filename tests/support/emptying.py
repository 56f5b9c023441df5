"""Emptying the database after a test that commits."""

from typing import Any

from django.db import OperationalError, connections
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

KEPT = ("django_content_type", "auth_permission")
"""What the code defines: running web servers remember the ids, and making the rows again takes time."""

WRITTEN_BY_TRIGGERS = ("limits_clientchange", "limits_rulechange")
"""Emptied last: deleting the rows of other tables writes new rows here."""

ATTEMPTS = 4

LARGE = 64 * 1024
"""Bytes from which on a table is truncated, which removes its statistics and dead rows as well. For a small one
that takes ten times as long as deleting its rows."""


def keep_what_the_code_defines() -> None:
    """From now on such tests empty all tables but those in ``KEPT``."""
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[method-assign]


def _empty_tables(self: Any) -> None:
    for name in self._databases_names(include_mirrors=False):
        connection = connections[name]
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        _execute(connection, _statements(connection, [table for table in tables if table not in KEPT]))


def _statements(connection: Any, tables: list[str]) -> list[str]:
    """Writers are waited for, as by TRUNCATE. Foreign keys are checked at the end."""
    names = {table: connection.ops.quote_name(table) for table in tables}
    large = _large(connection, tables)
    small = sorted((table for table in tables if table not in large), key=WRITTEN_BY_TRIGGERS.__contains__)
    return [
        f"LOCK TABLE {', '.join(names.values())} IN EXCLUSIVE MODE",
        *(f"TRUNCATE {names[table]} CASCADE" for table in large),
        "; ".join(f"DELETE FROM {names[table]}" for table in small),
    ]


def _large(connection: Any, tables: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind = 'r' AND pg_relation_size(oid) > %s",
            [tables, LARGE],
        )
        return [name for (name,) in cursor.fetchall()]


def _execute(connection: Any, statements: list[str]) -> None:
    """Again where a web server still reads for a page that nobody waits for any more."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            connection.ops.execute_sql_flush(statements)
        except OperationalError as error:
            if attempt == ATTEMPTS or not isinstance(error.__cause__, DeadlockDetected):
                raise
        else:
            return
