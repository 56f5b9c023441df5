"""A database connection for rows that are passed on after a request has returned."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def own_connection() -> Iterator[Any]:
    """A connection to the database of its own: a web server may pass rows on in another thread than that of the
    request, and closes the connection of the request when that thread begins the next one. Within a transaction, the
    present connection, which sees what the transaction wrote."""
    if connection.in_atomic_block:
        yield connection
        return
    own = connection.copy()
    own.inc_thread_sharing()
    own.ensure_connection()
    try:
        yield own
    finally:
        own.close()
