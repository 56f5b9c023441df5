"""Pages of big tables without counting them."""

from typing import Any, cast

from django.core.paginator import Paginator
from django.db import connection
from django.db.models import QuerySet
from django.utils.functional import cached_property

COUNTED = 10_000
"""Rows of a filtered list that are counted at most."""


class BigTablePaginator(Paginator):
    """The whole table's size is PostgreSQL's own estimate; a filtered list is counted up to
    ``COUNTED`` rows, which is as far as its pages go."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        if rows.query.where or rows.query.distinct:
            return rows.order_by()[:COUNTED].count()
        estimate = _estimate(rows.model._meta.db_table)
        return estimate if estimate > COUNTED else rows.order_by().count()


def _estimate(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        return int(cursor.fetchone()[0])
