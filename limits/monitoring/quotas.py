"""Reads how much of each quota the registered clients use, so that all clients can be listed by it.

A run reads the counters of the clients with requests since the last run, and of their ancestors. Peaks between two
readings are known from the thresholds that requests reached, where a policy has one limit. With the time that is left
it reads again what was read long ago, since plans and policies change.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from limits.models import Client, Progress, Work
from limits.monitoring.statements import Statements, arrays
from ratelimit_enforcer.domain.decision import LimitState
from ratelimit_enforcer.engine import ClientState, RulesetMissing, get_engine

CLIENTS_PER_STATEMENT = 100
ROWS_PER_STATEMENT = 10_000

MAX_AGE = timedelta(hours=1)
"""The age from which on a reading is repeated, as far as there is time."""

OVERLAP = timedelta(minutes=2)
"""Counts of a minute may arrive this much later."""

_SQL = Statements("quotas")
_COLUMNS = (
    *("clients", "limits", "policies", "endpoints", "used", "capacities", "percents", "times", "unused"),
    *("peaks", "peaks_used"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How much of a limit a client uses. The fields are those of the columns, in their order."""

    client: str
    limit: str
    policy: str
    endpoint: str
    used: int
    capacity: int
    percent: int
    read_at: datetime
    unused_at: datetime
    peak_percent: int
    peak_used: int


def read_quotas(now: datetime | None = None, seconds: float = 30.0) -> int:
    """Reads for at most ``seconds`` seconds. Returns the number of clients read. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreError`."""
    end, now = time.monotonic() + seconds, now or timezone.now()
    _repeat("set_unused", now, end)
    _repeat("begin_month", now, end)
    since = (Progress.of(Work.QUOTAS) or now - OVERLAP) - OVERLAP
    active = [key for (key,) in _SQL.rows("active_clients", since=since)]
    done = _read_all(active, since, end)
    if done == len(active):
        Progress.note(Work.QUOTAS, now)
        stale = [key for (key,) in _SQL.rows("stale_clients", before=now - MAX_AGE, count=ROWS_PER_STATEMENT)]
        done += _read_all(stale, since, end)
    return done


def _repeat(statement: str, now: datetime, end: float) -> None:
    """Runs a statement for a limited number of rows until it changes no more, or the time is over."""
    while time.monotonic() < end and _SQL.number(statement, now=now, count=ROWS_PER_STATEMENT):
        pass


def _read_all(keys: Sequence[str], since: datetime, end: float) -> int:
    """Returns for how many clients there was time."""
    done = 0
    while done < len(keys) and time.monotonic() < end:
        batch = keys[done : done + CLIENTS_PER_STATEMENT]
        _write(batch, list(_readings(batch, since)))
        done += len(batch)
    return done


def _readings(keys: Sequence[str], since: datetime) -> Iterator[Reading]:
    registered = set(Client.objects.filter(key__in=keys).values_list("key", flat=True))
    marks = {(client, policy): mark for client, policy, mark in _SQL.rows("reached", since=since, clients=list(keys))}
    for key in keys:
        if key not in registered:
            continue
        try:
            state = get_engine().peek_client(key)
        except RulesetMissing:
            continue
        yield from _readings_of(state, marks)


def _readings_of(state: ClientState, marks: dict[tuple[str, str], int]) -> Iterator[Reading]:
    """Yields readings of the client's own limits: those of ancestors are read with the ancestors."""
    key, read_at = state.record.key, datetime.fromtimestamp(state.now / 1_000_000, UTC)
    own = [each for each in state.decision.limits if each.client == key and each.limit.capacity > 0]
    for each in own:
        is_only_one = sum(other.policy == each.policy for other in own) == 1
        mark = marks.get((key, each.policy), 0) if is_only_one else 0
        yield _reading(key, each, state.endpoints[each.policy] or "", read_at, mark)


def _reading(key: str, state: LimitState, endpoint: str, read_at: datetime, mark: int) -> Reading:
    """``mark``: the percentage that requests reached at least since the last reading."""
    capacity = state.limit.capacity
    used = max(0, capacity - state.remaining)
    peak = max(used, -(-capacity * mark // 100))
    unused_at = read_at + timedelta(seconds=state.reset_after)
    return Reading(
        *(key, state.name, state.policy, endpoint, used, capacity, 100 * used // capacity, read_at, unused_at),
        *(100 * peak // capacity, peak),
    )


@transaction.atomic
def _write(keys: Iterable[str], readings: Sequence[Reading]) -> None:
    """Replaces the readings of these clients."""
    # Sorted: two concurrent runs then wait for each other without a deadlock.
    rows = sorted(map(astuple, readings))
    columns = arrays(_COLUMNS, rows) if rows else {name: [] for name in _COLUMNS}
    if rows:
        _SQL.rows("write_readings", **columns)
        _SQL.rows("write_peaks", **columns)
    _SQL.rows("remove_other_readings", of=list(keys), clients=columns["clients"], limits=columns["limits"])
