"""Bringing all clients to a store that lost them, one process at a time, while checks go on."""

import time
from collections.abc import Collection, Iterable, Iterator

import structlog
from django.db import connection, transaction

from limits.domain.client import ClientRecord
from limits.models import Client
from limits.publishing.client_rows import all_records
from limits.publishing.delivery import client_writer
from limits.store.buckets import BUCKETS

log = structlog.get_logger(__name__)

SAY_EVERY = 2.0
"""Seconds between two lines about how far a loading is."""

_LOCK = 0x6C696D697473
"""Of PostgreSQL's advisory locks: whoever holds this one loads clients."""


def load_all(buckets: Collection[int] = range(BUCKETS)) -> bool:
    """Brings all clients of these buckets to the store and marks them as complete. Returns whether
    they are: not one that was emptied meanwhile, and none where another process is loading.
    Raises :class:`~limits.store.errors.StoreUnavailable`."""
    # The lock ends with the transaction, so also with a process that is killed.
    with transaction.atomic():
        if not _is_ours_to_do():
            return False
        return client_writer().load_all(_told_of(all_records(), Client.objects.count()), buckets)


def _is_ours_to_do() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _told_of(records: Iterable[ClientRecord], total: int) -> Iterator[ClientRecord]:
    """The same records; a line in the log says how far they are where it takes long."""
    began = time.monotonic()
    next_line, number = began + SAY_EVERY, 0
    for number, record in enumerate(records, 1):
        if number % 1_000 == 0 and time.monotonic() > next_line:
            next_line += SAY_EVERY
            log.info("clients_loading", done=number, of=total, seconds=round(time.monotonic() - began, 1))
        yield record
    log.info("clients_read", clients=number, seconds=round(time.monotonic() - began, 1))
