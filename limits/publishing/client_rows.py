"""Rows of clients → records as the servers know them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any

from django.db.models import Q
from django.utils import timezone

from limits.domain.client import ClientRecord, Override, microseconds
from limits.domain.words import ClientStatus
from limits.models import Client
from limits.models import Override as OverrideRow

CHUNK = 2_000
"""Rows that are read together."""

ENDED = timedelta(days=1)
"""An override that ended this long ago is left out of the records."""

_COLUMNS = ("pk", "key", "revision", "plan__slug", "status")


def records_of(keys: Collection[str]) -> Iterator[ClientRecord]:
    """The clients of these keys that are registered."""
    return _records(Client.objects.filter(key__in=keys).values_list(*_COLUMNS))


def all_records() -> Iterator[ClientRecord]:
    """Every client, read as it is asked for."""
    return _records(Client.objects.order_by("pk").values_list(*_COLUMNS).iterator(chunk_size=CHUNK))


def _records(rows: Iterable[tuple[Any, ...]]) -> Iterator[ClientRecord]:
    """Without model instances: a million of those take minutes."""
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        overrides = _overrides_of([pk for pk, *_ in chunk])
        for pk, key, revision, plan, status in chunk:
            yield ClientRecord(key, revision, plan, ClientStatus(status), tuple(overrides.get(pk, ())))


def _overrides_of(clients: Collection[int]) -> Mapping[int, list[Override]]:
    current = Q(ends_at=None) | Q(ends_at__gt=timezone.now() - ENDED)
    rows = OverrideRow.objects.filter(current, client__in=clients).order_by("pk")
    by_client: dict[int, list[Override]] = defaultdict(list)
    for row in rows.select_related("policy").prefetch_related("limits"):
        by_client[row.client_id].append(_override(row))
    return by_client


def _override(row: OverrideRow) -> Override:
    return Override(
        policy=row.policy.slug,
        limits=tuple(limit.as_domain() for limit in row.limits.all()),
        starts_at=microseconds(row.starts_at) if row.starts_at else None,
        ends_at=microseconds(row.ends_at) if row.ends_at else None,
    )
