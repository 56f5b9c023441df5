"""Two transactions that meet at one row, in a known order."""

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
    """What ``work`` returns, begun while ``change`` is made but not committed; the change is committed
    once the work waits for it."""

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
    """Whether a transaction of this test's database waits for another one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(_WAITING)
        return bool(cursor.fetchone()[0])
