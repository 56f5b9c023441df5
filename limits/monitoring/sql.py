"""Statements over many rows, for which the ORM has no words."""

from collections.abc import Sequence
from typing import Any

from django.db import connection


def execute(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Runs one statement and returns its rows; none where it returns none."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows as columns, the arrays that ``unnest`` takes."""
    return [list(column) for column in zip(*rows, strict=True)]
