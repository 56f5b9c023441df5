"""Erasing a client: what was counted stays in the sums, without a name."""

from dataclasses import dataclass

from django.db import transaction

from limits.monitoring.drain import drain
from limits.monitoring.erased_rows import erase_alerts, erase_imports, erase_registration, erase_resets
from limits.monitoring.sql import execute

ROWS_AT_A_TIME = 5_000

_OUTCOMES, _DENIALS = ("endpoint", "outcome"), ("endpoint", "policy", "mode")

_TABLES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    *(
        (f"limits_usage{suffix}", (time, *_OUTCOMES), ("requests", "cost"))
        for suffix, time in (("", "minute"), ("hour", "hour"), ("day", "day"))
    ),
    *(
        (f"limits_policydenial{suffix}", (time, *_DENIALS), ("requests",))
        for suffix, time in (("", "minute"), ("hour", "hour"), ("day", "day"))
    ),
    ("limits_quotacrossing", ("minute", "endpoint", "policy", "mark"), ("requests",)),
)
"""(table, what tells one row of a client from another, what is added)"""

_FOLD = """
    WITH gone AS (
        DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE client_key = %s LIMIT %s))
        RETURNING {keys}, {sums}
    ), added AS (
        INSERT INTO {table} AS kept ({keys}, client_key, {sums})
        SELECT {keys}, '', {sums} FROM gone ORDER BY {keys}
        ON CONFLICT ({keys}, client_key) DO UPDATE SET {additions}
    )
    SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed: rows of usage that became part of “(other)”, alerts, resets, imports that named the
    client, and whether it was registered."""

    rows: int
    alerts: int
    resets: int
    imports: int
    registered: bool


def erase(client: str, *, keep_registration: bool = False) -> Erased:
    """Removes everything that names a client from the database. The requests that were counted stay in
    the sums, as part of “(other)”. What the client does from now on is counted again.

    ``keep_registration``: the client's row, its overrides and their history stay. Sentences that people
    typed as a reason are not searched. Raises :class:`~limits.store.errors.StoreUnavailable` before
    anything is changed: counts that wait in the store are brought first.
    """
    if not client:
        raise ValueError("The callers that were counted together have no name to erase.")
    drain()
    rows = sum(_fold_all(table, keys, sums, client) for table, keys, sums in _TABLES)
    with transaction.atomic():
        alerts, resets, imports = erase_alerts(client), erase_resets(client), erase_imports(client)
        registered = not keep_registration and erase_registration(client)
    return Erased(rows, alerts, resets, imports, registered)


def _fold_all(table: str, keys: tuple[str, ...], sums: tuple[str, ...], client: str) -> int:
    statement = _FOLD.format(
        table=table,
        keys=", ".join(keys),
        sums=", ".join(sums),
        additions=", ".join(f"{name} = kept.{name} + EXCLUDED.{name}" for name in sums),
    )
    total = 0
    while folded := int(execute(statement, [client, ROWS_AT_A_TIME])[0][0]):
        total += folded
    return total
