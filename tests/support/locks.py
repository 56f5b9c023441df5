"""Two transactions that lock the same row, in a known order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection, transaction

from tests.support.waiting import wait_until

_WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()
"""

Result = TypeVar("Result")


def overtaken_by(change: Callable[[], object], work: Callable[[], Result]) -> Result:
    """Starts ``work`` after ``change`` and before its commit; commits the change as soon as the work waits for its
    lock. Returns the result of the work."""

    def in_thread() -> Result:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as executor:
        with transaction.atomic():
            change()
            future = executor.submit(in_thread)
            wait_until(somebody_waits)
        return future.result()


def somebody_waits() -> bool:
    """Whether a transaction in this test's database waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(_WAITING)
        return bool(cursor.fetchone()[0])
