"""Publishing clients: each change is delivered independently, through an outbox.

Triggers in the database give every change of a client a new revision and insert a row into the outbox, in the
same transaction. The row is removed once the store has confirmed the record. The store accepts a record only
if it is not older than the stored one, so order and repetition do not matter.

The module converts rows of clients to records, and loads all clients into a store that lost them, in one
process at a time, while checks continue. It also resets the counters of a client, with a record.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from limits.models import Client, ClientChange, CounterReset, Policy
from limits.models import Grant as GrantRow
from limits.models import Override as OverrideRow
from limits.models.trees import keys_below, keys_of_ancestors, moves_above
from limits.publishing.rules import (
    Delivery,
    ForeignRules,
    postponed_delivery,
    require_own_rules,
    ruleset_writer,
)
from limits.store.client import control_client
from limits.store.clients import ClientWriter, CounterResetter, PlacedClient
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.client import ClientRecord, Override, counter_owners, key_problem
from ratelimit_enforcer.domain.dates import microseconds, optional_microseconds
from ratelimit_enforcer.domain.enums import ClientStatus, Partition
from ratelimit_enforcer.domain.grants import Grant
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, NOT_PRINTABLE, PRINTABLE, ValidationProblem
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import SHARDS, Keys

CHUNK_SIZE = 2_000
"""Number of rows that are read at a time."""

EXPIRED_FOR = timedelta(days=1)
"""Overrides that expired longer ago than this are left out of the records."""

_COLUMNS = ("pk", "key", "revision", "plan__slug", "status", "tags", "parent_id", "moved")


def placed_clients(keys: Collection[str]) -> Iterator[PlacedClient]:
    """Yields the registered clients with these keys."""
    return _placed(_columns(Client.objects.filter(key__in=keys)))


def all_clients() -> Iterator[PlacedClient]:
    """Yields all clients, read on demand."""
    return _placed(_columns(Client.objects.order_by("pk")).iterator(chunk_size=CHUNK_SIZE))


def _columns(clients: QuerySet[Client]) -> QuerySet[Client, tuple[Any, ...]]:
    has_grants = Exists(_current_grants().filter(client=OuterRef("pk")))
    return clients.annotate(has_grants=has_grants).values_list(*_COLUMNS, "has_grants")


def _current_grants() -> QuerySet[GrantRow]:
    return GrantRow.objects.filter(ends_at__gt=timezone.now() - EXPIRED_FOR)


def _placed(rows: Iterable[tuple[Any, ...]]) -> Iterator[PlacedClient]:
    """Without model instances: a million of those take minutes."""
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK_SIZE)):
        overrides = _overrides_of([pk for pk, *_ in chunk])
        grants, ledger = _grants_of([pk for pk, *_, has_grants in chunk if has_grants])
        below = [pk for pk, *_, parent, _, _ in chunk if parent is not None]
        ancestors = keys_of_ancestors(Client.objects.filter(pk__in=below)) if below else {}
        for pk, key, revision, plan, status, tags, _, moved, _ in chunk:
            above = ancestors.get(pk, ())
            record = ClientRecord(
                key,
                revision,
                plan,
                ClientStatus(status),
                tuple(overrides.get(pk, ())),
                tags=tuple(tags),
                parent=above[0] if above else None,
                moved=moved,
                grants=tuple(grants.get(pk, ())),
            )
            yield PlacedClient(record, above[-1] if above else key, ledger=ledger.get(pk, {}))


def _overrides_of(clients: Collection[int]) -> Mapping[int, list[Override]]:
    current = Q(ends_at=None) | Q(ends_at__gt=timezone.now() - EXPIRED_FOR)
    rows = OverrideRow.objects.filter(current, client__in=clients).order_by("pk")
    by_client: dict[int, list[Override]] = defaultdict(list)
    for row in rows.select_related("policy").prefetch_related("limits"):
        by_client[row.client_id].append(_override(row))
    return by_client


def _override(row: OverrideRow) -> Override:
    return Override(
        policy=row.policy.slug,
        limits=tuple(limit.as_domain() for limit in row.limits.all()),
        starts_at=optional_microseconds(row.starts_at),
        ends_at=optional_microseconds(row.ends_at),
    )


_GRANT = ("client_id", "pk", "policy__slug", "amount", "starts_at", "ends_at", "priority")
_FIGURES = ("total__consumed", "total__returned")
_Ledger = dict[int, tuple[int, int]]


def _grants_of(clients: Collection[int]) -> tuple[Mapping[int, list[Grant]], Mapping[int, _Ledger]]:
    """The grants of each client, and what was used of them."""
    current = _current_grants().filter(client__in=clients) if clients else GrantRow.objects.none()
    grants: dict[int, list[Grant]] = defaultdict(list)
    ledger: dict[int, _Ledger] = defaultdict(dict)
    rows = current.order_by("pk").values_list(*_GRANT, *_FIGURES)
    for client, pk, policy, amount, starts_at, ends_at, priority, consumed, returned in rows:
        dates = microseconds(starts_at), microseconds(ends_at)
        grants[client].append(Grant(pk, policy, amount, *dates, priority))
        ledger[client][pk] = (consumed or 0, returned or 0)
    return grants, ledger


log = structlog.get_logger(__name__)


def client_writer() -> ClientWriter:
    """Returns the writer of client records in the store of this platform."""
    return ClientWriter(control_client(), Keys(setting("NAMESPACE")))


def deliver(keys: Collection[str] | None = None) -> Delivery:
    """Delivers pending changes (of these clients and of those that moved with them; None: of all) to the store. Does
    not raise if the store is unavailable."""
    wanted = None if keys is None else {*keys, *_moved_with(keys)}
    try:
        while changes := list(_pending_changes(wanted)[:CHUNK_SIZE]):
            _require_own_rules()
            _deliver(changes)
    except StoreError as error:
        log.warning("clients_not_delivered", error=str(error))
        return postponed_delivery()
    except ForeignRules as error:
        log.warning("clients_refused", found=str(error.found))
        return Delivery(False, problem=str(error))
    return Delivery(True)


def _moved_with(keys: Collection[str]) -> set[str]:
    """The descendants of those clients that got another parent: only these are waiting with them."""
    moved = ClientChange.objects.filter(client_key__in=keys, earlier_root__isnull=False)
    return keys_below(set(moved.values_list("client_key", flat=True)), Client.objects.all())


def _pending_changes(keys: Collection[str] | None) -> QuerySet[ClientChange]:
    waiting = ClientChange.objects.order_by("id")
    return waiting if keys is None else waiting.filter(client_key__in=keys)


def _require_own_rules() -> None:
    """Revisions of another database cannot be compared with those of this one."""
    found = ruleset_writer().pointer()
    if found is not None:
        require_own_rules(found)


def _deliver(changes: list[ClientChange]) -> None:
    client_writer().put(_changed(changes))
    ClientChange.objects.filter(id__in=[change.id for change in changes]).delete()


def _changed(changes: Iterable[ClientChange]) -> Iterator[PlacedClient]:
    """Yields the changed clients as they are now, after their ancestors, and tombstones for deleted ones."""
    revisions: dict[str, int] = {}
    earlier_roots: defaultdict[str, set[str]] = defaultdict(set)
    for change in changes:
        revisions[change.client_key] = max(change.revision, revisions.get(change.client_key, 0))
        if change.earlier_root is not None:
            earlier_roots[change.client_key].add(change.earlier_root)
    yield from _ancestors_of(revisions)
    for client in placed_clients(revisions):
        key = client.record.key
        yield replace(client, earlier_roots=frozenset(earlier_roots[key]))
        del revisions[key]
    for key, revision in revisions.items():
        tombstone = ClientRecord(key, revision, deleted=True)
        yield PlacedClient(tombstone, key, frozenset(earlier_roots[key]))


def _ancestors_of(keys: Collection[str]) -> Iterator[PlacedClient]:
    """Their records may not be in the new shard yet: a large tree is moved in several steps."""
    below = Client.objects.filter(key__in=keys, parent__isnull=False)
    ancestors = {key for above in keys_of_ancestors(below).values() for key in above}
    return placed_clients(ancestors - set(keys)) if ancestors else iter(())


def record_of(key: str) -> ClientRecord | None:
    """Returns the record to publish for a client; None if the client is not registered."""
    found = next(placed_clients([key]), None)
    return found.record if found else None


PROGRESS_LOG_SECONDS = 2.0
"""Seconds between two log lines about the progress of loading."""

_LOADING_LOCK = 0x6C696D697473
"""The number of the PostgreSQL advisory lock that a process needs for loading clients."""


def load_all(shards: Collection[int] = range(SHARDS)) -> bool:
    """Loads all clients of these shards into the store and marks the shards as complete. Returns whether all
    are complete: not if a shard was emptied meanwhile, or if another process is loading. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
    # The lock ends with the transaction, and so also if the process is killed.
    with transaction.atomic():
        if not _acquire_loading_lock():
            return False
        return client_writer().load_all(_with_progress_logged(all_clients(), Client.objects.count()), shards)


def _acquire_loading_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOADING_LOCK])
        return bool(cursor.fetchone()[0])


def _with_progress_logged(clients: Iterable[PlacedClient], total: int) -> Iterator[PlacedClient]:
    """Yields the same clients, and logs the progress if loading takes long."""
    began = time.monotonic()
    next_line, number = began + PROGRESS_LOG_SECONDS, 0
    for number, client in enumerate(clients, 1):
        if number % 1_000 == 0 and time.monotonic() > next_line:
            next_line += PROGRESS_LOG_SECONDS
            log.info("clients_loading", done=number, of=total, seconds=round(time.monotonic() - began, 1))
        yield client
    log.info("clients_read", clients=number, seconds=round(time.monotonic() - began, 1))


def reset_problems(client: str, reason: str) -> list[ValidationProblem]:
    """Returns what is wrong with a request to reset: the client's key or the reason."""
    problems = []
    if message := key_problem(client):
        problems.append(ValidationProblem(("client",), message))
    if not 1 <= len(reason.strip()) <= MAX_REASON_LENGTH:
        problems.append(ValidationProblem(("reason",), f"must have 1 to {MAX_REASON_LENGTH} characters."))
    elif not PRINTABLE.match(reason):
        problems.append(ValidationProblem(("reason",), NOT_PRINTABLE))
    return problems


def reset_counters(client: str, *, reason: str, author: str) -> CounterReset:
    """Resets the counters that count this client separately, but not those of ancestors, frees their places, and
    records the reset once it is done.

    Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`; then nothing is recorded, and the
    counters may or may not be reset.
    """
    eraser = CounterResetter(control_client(), Keys(setting("NAMESPACE")))
    policies = Policy.objects.values_list("slug", flat=True)
    with_attributes = policies.filter(partition=Partition.CLIENT.value).exclude(attributes=[])
    owner, root = _owner_and_root(client)
    eraser.erase(owner, policies, with_attributes, shard_key=root)
    return CounterReset.objects.create(client_key=client, reason=reason.strip(), author=author)


def _owner_and_root(client: str) -> tuple[str, str]:
    """The name under which the counters of a client are stored, and the key of the client's root."""
    known = moves_above(Client.objects.filter(key=client)) or [(client, 0)]
    records = [ClientRecord(key, moved=moved) for key, moved in known]
    return counter_owners(records)[0], records[-1].key
