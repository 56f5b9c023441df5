"""Emptying of the database after a test that commits."""

from typing import Any

from django.db import OperationalError, connections
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

KEPT = ("django_content_type", "auth_permission")
"""Tables with rows that the code defines: web servers cache their ids, and recreating the rows takes time."""

WRITTEN_BY_TRIGGERS = (
    "limits_clientchange",
    "limits_rulechange",
    "limits_recordedclient",
    "limits_recordeddefaultplan",
)
"""Emptied last, because deleting rows of other tables inserts rows here."""

ATTEMPTS = 4

LARGE = 64 * 1024
"""Size in bytes above which a table is truncated, which also removes its statistics and dead rows. For smaller
tables that takes ten times as long as deleting the rows."""


def keep_what_the_code_defines() -> None:
    """Makes tests that commit empty all tables except those in ``KEPT``."""
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[method-assign]


def _empty_tables(self: Any) -> None:
    for name in self._databases_names(include_mirrors=False):
        empty(connections[name])


def empty(connection: Any) -> None:
    """Empties all tables except those in ``KEPT``."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    _execute(connection, _statements(connection, [table for table in tables if table not in KEPT]))


def _statements(connection: Any, tables: list[str]) -> list[str]:
    """Statements that wait for writers, like TRUNCATE, and check foreign keys at the end."""
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
    """Retries after a deadlock with a web server that still reads for an abandoned request."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            connection.ops.execute_sql_flush(statements)
        except OperationalError as error:
            if attempt == ATTEMPTS or not isinstance(error.__cause__, DeadlockDetected):
                raise
        else:
            return
