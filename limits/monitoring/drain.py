"""The drain: usage counts from the store are added to rows, each count exactly once.

Counts are set aside in the store under an id. One transaction writes the id and adds the counts to the rows;
only then are they removed from the store. If a process crashes in between, the counts stay set aside: the
next drain checks whether the id is in the database, and continues from there.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from limits.models import Policy, Progress, UsageParcel, Work
from limits.models.reports import MONTH_CLOSES_AFTER
from limits.monitoring import rollups
from limits.monitoring.grants import add_grant_use, raise_grants
from limits.monitoring.rollups import DENIALS, POLICY_USAGE, SETTLEMENTS, USAGE, Series
from limits.monitoring.statements import Statements, arrays
from limits.store.client import control_client
from limits.store.usage import CountKey, Parcel, UsageCounts
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.enums import Mode, Outcome, Partition
from ratelimit_enforcer.domain.grants import grant_of_kind
from ratelimit_enforcer.domain.usage import PolicyKind, RequestKind, SettlementKind
from ratelimit_enforcer.store.keys import Keys

PARCELS_PER_TRANSACTION = 32
"""Maximum number of parcels that one transaction writes."""

PARCEL_ID_RETENTION = timedelta(days=7)
"""Retention of the ids of finished parcels: a store that was restored to an older state may contain a
parcel again."""

COMMIT_TIME = timedelta(minutes=5)
"""Counts that are written this long before the close of their month count as written after it: a report that is made
right after the close may not see them yet."""

_OUTCOMES: dict[str, Outcome] = {
    RequestKind.ADMITTED: Outcome.ADMITTED,
    RequestKind.DENIED: Outcome.DENIED,
    RequestKind.BLOCKED: Outcome.BLOCKED,
    RequestKind.EXEMPT: Outcome.EXEMPT,
}
_MODES: dict[str, Mode] = {PolicyKind.DENIED: Mode.ENFORCE, PolicyKind.WOULD_DENY: Mode.SHADOW}
_SETTLEMENT_KINDS = frozenset(SettlementKind)

_SQL = Statements("drain")
_THRESHOLDS = ("minutes", "clients", "endpoints", "policies", "marks", "requests")


def drain() -> int:
    """Adds all counts to the database. Returns the number of parcels written. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreError`."""
    counts, began = usage_counts(), timezone.now()
    parcels = counts.set_aside()
    written = 0
    for start in range(0, len(parcels), PARCELS_PER_TRANSACTION):
        written += _drain_parcels(counts, parcels[start : start + PARCELS_PER_TRANSACTION])
    counts.report_damage()
    # Not the present moment: requests counted since the counts were set aside are still in the store.
    Progress.note(Work.DRAIN, began)
    UsageParcel.objects.filter(finished_at__lt=timezone.now() - PARCEL_ID_RETENTION).delete()
    return written


def usage_counts() -> UsageCounts:
    """Returns the reader of usage counts in the store of this platform."""
    return UsageCounts(control_client(), Keys(setting("NAMESPACE")))


def _drain_parcels(counts: UsageCounts, parcels: Sequence[Parcel]) -> int:
    contents = {parcel.id: counts.read(parcel) for parcel in parcels}
    written = write(contents)
    # Repeated if the process is killed before it has finished the parcels.
    raise_grants(contents.values())
    counts.finish(parcels)
    UsageParcel.objects.filter(id__in=contents, finished_at=None).update(finished_at=timezone.now())
    return written


@transaction.atomic
def write(contents: Mapping[str, Mapping[CountKey, int]]) -> int:
    """Adds the counts of the parcels whose id is new, and stores the ids. Returns the number of new parcels."""
    # Sorted, here and below: two concurrent drains then wait for each other without a deadlock.
    ids = [name for (name,) in _SQL.rows("take_ids", ids=sorted(contents))]
    counts: Counter[CountKey] = Counter()
    for name in ids:
        counts.update(contents[name])
    marks = rollups.lock_progress(Work.HOURS, Work.DAYS)
    if usage := sorted(_usage_rows(counts)):
        _SQL.rows("add_usage", **arrays(USAGE.columns, usage))
        rollups.add_late(USAGE, usage, marks)
        _note_late("note_late_usage", USAGE, usage)
    if denials := sorted(_denial_rows(counts)):
        _SQL.rows("add_denials", **arrays(DENIALS.columns, denials))
        rollups.add_late(DENIALS, denials, marks)
        _note_late("note_late_denials", DENIALS, denials)
    if settlements := sorted(_settlement_rows(counts)):
        _SQL.rows("add_settlements", **arrays(SETTLEMENTS.columns, settlements))
        rollups.add_late(SETTLEMENTS, settlements, marks)
        _note_late("note_late_settlements", SETTLEMENTS, settlements)
        _SQL.rows("add_settlement_totals", **arrays(SETTLEMENTS.columns, settlements))
    if beyond := sorted(_policy_usage_rows(counts)):
        _SQL.rows("add_policy_usage", **arrays(POLICY_USAGE.columns, beyond))
        rollups.add_late(POLICY_USAGE, beyond, marks)
        _note_late("note_late_policy_usage", POLICY_USAGE, beyond)
    if thresholds := sorted(_threshold_rows(counts)):
        _SQL.rows("add_quota_thresholds", **arrays(_THRESHOLDS, thresholds))
    add_grant_use(counts)
    return len(ids)


def _note_late(statement: str, series: Series, rows: Sequence[tuple[Any, ...]]) -> None:
    """Records the rows that may have arrived after the close of their month, in any time zone."""
    now = timezone.now()
    late = [row for row in rows if row[0] < now - MONTH_CLOSES_AFTER]
    if late:
        arrived = rollups.hour_of(now + COMMIT_TIME)
        _SQL.rows(statement, arrived=arrived, **arrays(series.columns, late))


def _usage_rows(counts: Mapping[CountKey, int]) -> Iterator[tuple[Any, ...]]:
    """Yields requests and cost in one row for each client, endpoint, minute and outcome."""
    requests: Counter[tuple[Any, ...]] = Counter()
    cost: Counter[tuple[Any, ...]] = Counter()
    for key, amount in counts.items():
        if not key.policy and (outcome := _OUTCOMES.get(key.kind.lower())):
            row = (_moment(key), key.client, key.endpoint, outcome.value)
            cost[row] += amount
            requests[row] += amount if key.kind.islower() else 0
    # Damaged counts may have been skipped, while the cost beyond one each was not.
    return ((*row, requests[row], max(0, cost[row])) for row in cost)


def _settlement_rows(counts: Mapping[CountKey, int]) -> Iterator[tuple[Any, ...]]:
    """Yields all figures in one row for each client, endpoint and minute."""
    rows: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for key, amount in counts.items():
        if key.kind in _SETTLEMENT_KINDS:
            rows[_moment(key), key.client, key.endpoint][key.kind] += amount
    return ((*row, *(figures[kind] for kind in SettlementKind)) for row, figures in rows.items())


def _denial_rows(counts: Mapping[CountKey, int]) -> Iterator[tuple[Any, ...]]:
    for key, amount in counts.items():
        if key.policy and (mode := _MODES.get(key.kind)):
            yield _moment(key), key.client, key.endpoint, key.policy, mode.value, amount


def _threshold_rows(counts: Mapping[CountKey, int]) -> Iterator[tuple[Any, ...]]:
    """Yields rows for quota thresholds. If a policy counts all clients together, the row names no client."""
    global_policies = set(Policy.objects.filter(partition=Partition.GLOBAL.value).values_list("slug", flat=True))
    rows: Counter[tuple[Any, ...]] = Counter()
    for key, amount in counts.items():
        if key.kind.isdigit():
            client = "" if key.policy in global_policies else key.client
            rows[_moment(key), client, key.endpoint, key.policy, int(key.kind)] += amount
    return ((*row, amount) for row, amount in rows.items())


def _policy_usage_rows(counts: Mapping[CountKey, int]) -> Iterator[tuple[Any, ...]]:
    """Yields granted units and units over quota in one row for each client, endpoint, minute and policy. If a policy
    counts all clients together, the row names no client."""
    global_policies = set(Policy.objects.filter(partition=Partition.GLOBAL.value).values_list("slug", flat=True))
    rows: dict[tuple[Any, ...], Counter[bool]] = defaultdict(Counter)
    for key, amount in counts.items():
        if key.policy and (found := _beyond_quota(key.kind)) is not None:
            is_granted, is_returned = found
            client = "" if key.policy in global_policies else key.client
            row = (_moment(key), client, key.endpoint, key.policy)
            rows[row][is_granted] += -amount if is_returned else amount
    return ((*row, units[True], units[False]) for row, units in rows.items())


def _beyond_quota(kind: str) -> tuple[bool, bool] | None:
    """Whether units of this kind were granted, and whether they were returned; None: other counts."""
    if kind in (PolicyKind.OVER_QUOTA, PolicyKind.OVER_QUOTA_RETURNED):
        return False, kind == PolicyKind.OVER_QUOTA_RETURNED
    grant = grant_of_kind(kind)
    return None if grant is None else (True, grant[1])


def _moment(key: CountKey) -> datetime:
    return datetime.fromtimestamp(key.minute * 60, UTC)
