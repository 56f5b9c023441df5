"""Emptying the database after a test that commits."""

from typing import Any

from django.core.management.color import no_style
from django.db import OperationalError, connections
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

KEPT = ("django_content_type", "auth_permission")
"""What the code defines: running web servers remember the ids, and making the rows again takes time."""

ATTEMPTS = 4


def keep_what_the_code_defines() -> None:
    """From now on such tests empty all tables but those in ``KEPT``."""
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[method-assign]


def _empty_tables(self: Any) -> None:
    for name in self._databases_names(include_mirrors=False):
        connection = connections[name]
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        _execute(connection, connection.ops.sql_flush(no_style(), [table for table in tables if table not in KEPT]))


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
