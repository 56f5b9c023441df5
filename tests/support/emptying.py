"""Emptying the database after a test that commits."""

from typing import Any

from django.core.management.color import no_style
from django.db import connections
from django.test import TransactionTestCase

KEPT = ("django_content_type", "auth_permission")
"""What the code defines: running web servers remember the ids, and making the rows again takes time."""


def keep_what_the_code_defines() -> None:
    """From now on such tests empty all tables but those in ``KEPT``."""
    TransactionTestCase._fixture_teardown = _empty_tables  # type: ignore[method-assign]


def _empty_tables(self: Any) -> None:
    for name in self._databases_names(include_mirrors=False):
        connection = connections[name]
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        emptied = [table for table in tables if table not in KEPT]
        connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), emptied))
