"""Publishing clients: each change travels by itself, through an outbox.

Triggers in the database give every change of a client a new revision and put a row into the
outbox, in the same transaction. The row goes when the store has confirmed the record. The store
takes a record only where it is not older than the one there, so order and repetition do no harm.
"""

from collections.abc import Collection, Iterable

import structlog
from django.db.models import QuerySet

from limits.domain.client import ClientRecord
from limits.models import ClientChange
from limits.publishing.client_rows import CHUNK, records_of
from limits.publishing.delivery import Delivery, client_writer, not_reachable, ruleset_writer
from limits.publishing.loading import load_all
from limits.publishing.origin import ForeignRules, require_ours
from limits.store.errors import StoreError

__all__ = ["deliver", "load_all", "record_of"]

log = structlog.get_logger(__name__)


def deliver(keys: Collection[str] | None = None) -> Delivery:
    """Brings waiting changes (of these clients; None: of all) to the store. Does not raise for an
    unreachable store."""
    try:
        while changes := list(_waiting(keys)[:CHUNK]):
            _require_ours()
            _deliver(changes)
    except StoreError as error:
        log.warning("clients_not_delivered", error=str(error))
        return not_reachable(error)
    except ForeignRules as error:
        log.warning("clients_refused", found=str(error.found))
        return Delivery(False, problem=str(error))
    return Delivery(True)


def _waiting(keys: Collection[str] | None) -> QuerySet[ClientChange]:
    waiting = ClientChange.objects.order_by("id")
    return waiting if keys is None else waiting.filter(client_key__in=keys)


def _require_ours() -> None:
    """Revisions of another database say nothing about ours."""
    found = ruleset_writer().pointer()
    if found is not None:
        require_ours(found)


def _deliver(changes: list[ClientChange]) -> None:
    client_writer().put(_records_of(changes))
    ClientChange.objects.filter(id__in=[change.id for change in changes]).delete()


def _records_of(changes: Iterable[ClientChange]) -> list[ClientRecord]:
    """The clients as they are now, and tombstones for those that are gone."""
    gone: dict[str, int] = {}
    for change in changes:
        gone[change.client_key] = max(change.revision, gone.get(change.client_key, 0))
    records = list(records_of(gone))
    for record in records:
        del gone[record.key]
    return records + [ClientRecord(key, revision, deleted=True) for key, revision in gone.items()]


def record_of(key: str) -> ClientRecord | None:
    """What is published of a client; None: it is not registered."""
    return next(records_of([key]), None)
