"""Forgetting a client: what was counted stays in the sums, without a name."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from limits.domain.words import GroupBy
from limits.models import Alert, CounterReset, Message
from limits.monitoring.drain import drain
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
    """What was forgotten."""

    rows: int
    alerts: int
    resets: int


def erase(client: str) -> Erased:
    """Forgets a client that is named: its usage becomes part of “(other)”; alerts and messages about
    it, and the records of its resets, go. What it does from now on is counted again.

    Raises :class:`~limits.store.errors.StoreUnavailable`, before anything is done: what waits in
    the store is brought first.
    """
    if not client:
        raise ValueError("The callers that were counted together have no name to forget.")
    drain()
    rows = sum(_fold_all(table, keys, sums, client) for table, keys, sums in _TABLES)
    return Erased(rows, _erase_alerts(client), CounterReset.objects.filter(client_key=client).delete()[0])


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


@transaction.atomic
def _erase_alerts(client: str) -> int:
    about_it = Alert.objects.filter(group=client, rule__group_by=GroupBy.CLIENT.value)
    Message.objects.filter(Q(alerts__in=about_it) | Q(text__contains=client) | Q(payload__icontains=client)).delete()
    return about_it.delete()[1].get("limits.Alert", 0)
