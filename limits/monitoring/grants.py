"""The ledger of grants: counted units become rows, and the store gets the sums of the ledger."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from limits.models import Client, GrantTotal
from limits.models.trees import keys_of_ancestors
from limits.monitoring.statements import Statements, arrays
from limits.store.client import control_client
from limits.store.grants import GrantState, GrantWriter
from limits.store.usage import CountKey
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.dates import microseconds
from ratelimit_enforcer.domain.grants import grant_of_kind
from ratelimit_enforcer.store.keys import Keys, shard_of

_SQL = Statements("grants")
_COLUMNS = ("grants", "hours", "consumed", "returned")
_MAX_ID = 2**63 - 1


def grant_writer() -> GrantWriter:
    """Returns the writer of the use of grants in the store of this platform."""
    return GrantWriter(control_client(), Keys(setting("NAMESPACE")))


def add_grant_use(counts: Mapping[CountKey, int]) -> None:
    """Adds counted units to the ledger, inside the caller's transaction."""
    if rows := sorted(_rows(counts)):
        _SQL.rows("add_grant_use", **arrays(_COLUMNS, rows))


def _rows(counts: Mapping[CountKey, int]) -> Iterator[tuple[Any, ...]]:
    """Yields grant, hour, consumed and returned units."""
    rows: dict[tuple[int, datetime], list[int]] = defaultdict(lambda: [0, 0])
    for key, amount in counts.items():
        if found := _grant_of(key):
            grant, returned = found
            rows[grant, datetime.fromtimestamp(key.minute // 60 * 3_600, UTC)][returned] += amount
    return ((*key, *figures) for key, figures in rows.items())


def _grant_of(key: CountKey) -> tuple[int, bool] | None:
    """Damaged counts may name a number that is no id."""
    found = grant_of_kind(key.kind)
    return found if found and found[0] <= _MAX_ID else None


def raise_grants(contents: Iterable[Mapping[CountKey, int]]) -> None:
    """Raises what is stored of the grants in these counts to the ledger: of a client that is in another shard by now,
    or after the store was restored to an older state. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
    touched = {found[0] for counts in contents for key in counts if (found := _grant_of(key))}
    if touched:
        grant_writer().put(list(_states(touched)))


def _states(grants: Iterable[int]) -> Iterator[GrantState]:
    columns = ("grant__client_id", "grant__client__key", "grant_id", "grant__ends_at", "consumed", "returned")
    rows = list(GrantTotal.objects.filter(grant__in=list(grants)).values_list(*columns))
    ancestors = keys_of_ancestors(Client.objects.filter(pk__in={row[0] for row in rows}))
    for client, key, grant, ends_at, consumed, returned in rows:
        root = (ancestors.get(client) or (key,))[-1]
        yield GrantState(key, shard_of(root), {grant: (consumed, returned)}, microseconds(ends_at))
