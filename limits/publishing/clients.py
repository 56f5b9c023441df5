"""Publishing clients: each change travels by itself, through an outbox.

Triggers in the database give every change of a client a new revision and put a row into the
outbox, in the same transaction. The row goes when the store has confirmed the record. The store
takes a record only where it is not older than the one there, so order and repetition do no harm.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta

import structlog
from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone

from limits.domain.client import ClientRecord, Override, microseconds
from limits.domain.words import ClientStatus
from limits.models import Client, ClientChange
from limits.models import Override as OverrideRow
from limits.publishing.delivery import Delivery, client_writer, not_reachable, ruleset_writer
from limits.publishing.origin import ForeignRules, require_ours
from limits.store.buckets import BUCKETS
from limits.store.errors import StoreUnavailable

log = structlog.get_logger(__name__)

CHUNK = 2_000
"""Rows that are read and delivered together."""

ENDED = timedelta(days=1)
"""An override that ended this long ago is left out of the records."""


def deliver(keys: Collection[str] | None = None) -> Delivery:
    """Brings waiting changes (of these clients; None: of all) to the store. Does not raise for an
    unreachable store."""
    try:
        while changes := list(_waiting(keys)[:CHUNK]):
            _require_ours()
            _deliver(changes)
    except StoreUnavailable as error:
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
    records = list(map(_record, _with_overrides(Client.objects.filter(key__in=gone))))
    for record in records:
        del gone[record.key]
    return records + [ClientRecord(key, revision, deleted=True) for key, revision in gone.items()]


def record_of(key: str) -> ClientRecord | None:
    """What is published of a client; None: it is not registered."""
    row = _with_overrides(Client.objects.filter(key=key)).first()
    return _record(row) if row is not None else None


def load_all(buckets: Collection[int] = range(BUCKETS)) -> bool:
    """Brings all clients of these buckets to the store and marks them as complete. Returns whether
    they are; one that was emptied meanwhile is not. Raises :class:`StoreUnavailable`."""
    return client_writer().load_all(_all_records(), buckets)


def _all_records() -> Iterator[ClientRecord]:
    rows = _with_overrides(Client.objects.order_by("pk"))
    return map(_record, rows.iterator(chunk_size=CHUNK))


def _with_overrides(rows: QuerySet[Client]) -> QuerySet[Client]:
    current = Q(ends_at=None) | Q(ends_at__gt=timezone.now() - ENDED)
    overrides = OverrideRow.objects.filter(current).select_related("policy").prefetch_related("limits")
    return rows.select_related("plan").prefetch_related(Prefetch("overrides", overrides.order_by("pk")))


def _record(row: Client) -> ClientRecord:
    return ClientRecord(
        key=row.key,
        revision=row.revision,
        plan=row.plan.slug if row.plan else None,
        status=ClientStatus(row.status),
        overrides=tuple(_override(override) for override in row.overrides.all()),
    )


def _override(row: OverrideRow) -> Override:
    return Override(
        policy=row.policy.slug,
        limits=tuple(limit.as_domain() for limit in row.limits.all()),
        starts_at=microseconds(row.starts_at) if row.starts_at else None,
        ends_at=microseconds(row.ends_at) if row.ends_at else None,
    )
