"""The drain: usage counts from the store into rows, each count exactly once.

Counts are set aside in the store under an id. One transaction writes the id and adds the counts
to the rows; only then are they removed from the store. Whoever dies in between leaves them set
aside: the next drain finds the id in the database, or it does not, and goes on from there.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from limits.conf import setting
from limits.domain.words import Mode, Outcome, Partition
from limits.models import Policy, Progress, UsageParcel, Work
from limits.monitoring import rollups
from limits.monitoring.sql import columns, execute
from limits.store.connection import patient_client
from limits.store.keys import Keys
from limits.store.usage import Counted, Parcel, UsageCounts

PARCELS_AT_A_TIME = 32
"""Parcels that one transaction writes."""

IDS_KEPT = timedelta(days=7)
"""How long the ids of finished parcels are kept: a store that comes back from an older state may
show a parcel again."""

_OUTCOMES = {"a": Outcome.ADMITTED, "d": Outcome.DENIED, "b": Outcome.BLOCKED, "e": Outcome.EXEMPT}
_MODES = {"d": Mode.ENFORCE, "s": Mode.SHADOW}

_TAKE_IDS = """
    INSERT INTO limits_usageparcel (id, written_at) SELECT unnest(%s::text[]), now()
    ON CONFLICT DO NOTHING RETURNING id
"""
_ADD_USAGE = """
    INSERT INTO limits_usage AS kept (minute, client_key, endpoint, outcome, requests, cost)
    SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])
    ON CONFLICT (minute, client_key, endpoint, outcome)
    DO UPDATE SET requests = kept.requests + EXCLUDED.requests, cost = kept.cost + EXCLUDED.cost
"""
_ADD_DENIALS = """
    INSERT INTO limits_policydenial AS kept (minute, client_key, endpoint, policy, mode, requests)
    SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (minute, client_key, endpoint, policy, mode)
    DO UPDATE SET requests = kept.requests + EXCLUDED.requests
"""
_ADD_CROSSINGS = """
    INSERT INTO limits_quotacrossing AS kept (minute, client_key, endpoint, policy, mark, requests)
    SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::int[], %s::bigint[])
    ON CONFLICT (minute, client_key, endpoint, policy, mark)
    DO UPDATE SET requests = kept.requests + EXCLUDED.requests
"""


def drain() -> int:
    """Brings everything that was counted to the database. Returns how many parcels it wrote.
    Raises :class:`~limits.store.errors.StoreError`."""
    counts, began = usage_counts(), timezone.now()
    parcels = counts.set_aside()
    written = 0
    for start in range(0, len(parcels), PARCELS_AT_A_TIME):
        written += _bring(counts, parcels[start : start + PARCELS_AT_A_TIME])
    counts.report_damage()
    # Not the present moment: what was counted since the counts were set aside is still in the store.
    Progress.note(Work.DRAIN, began)
    UsageParcel.objects.filter(finished_at__lt=timezone.now() - IDS_KEPT).delete()
    return written


def usage_counts() -> UsageCounts:
    """The counts in the store."""
    return UsageCounts(patient_client(), Keys(setting("NAMESPACE")))


def _bring(counts: UsageCounts, parcels: Sequence[Parcel]) -> int:
    contents = {parcel.id: counts.read(parcel) for parcel in parcels}
    written = write(contents)
    counts.finish(parcels)
    UsageParcel.objects.filter(id__in=contents, finished_at=None).update(finished_at=timezone.now())
    return written


@transaction.atomic
def write(contents: Mapping[str, Mapping[Counted, int]]) -> int:
    """Adds the counts of those parcels whose id is new, and keeps the ids. Returns how many."""
    # In order, here and below: two drains at once then wait for each other and never in a circle.
    ids = [name for (name,) in execute(_TAKE_IDS, [sorted(contents)])]
    counts: Counter[Counted] = Counter()
    for name in ids:
        counts.update(contents[name])
    marks = rollups.marks_held()
    if usage := sorted(_usage_rows(counts)):
        execute(_ADD_USAGE, columns(usage))
        rollups.add_late(rollups.USAGE, usage, marks)
    if denials := sorted(_denial_rows(counts)):
        execute(_ADD_DENIALS, columns(denials))
        rollups.add_late(rollups.DENIALS, denials, marks)
    if crossings := sorted(_crossing_rows(counts)):
        execute(_ADD_CROSSINGS, columns(crossings))
    return len(ids)


def _usage_rows(counts: Mapping[Counted, int]) -> Iterator[tuple[Any, ...]]:
    """Requests and their cost, in one row for each client, endpoint, minute and outcome."""
    requests: Counter[tuple[Any, ...]] = Counter()
    cost: Counter[tuple[Any, ...]] = Counter()
    for counted, amount in counts.items():
        if not counted.policy:
            row = (_moment(counted), counted.client, counted.endpoint, _OUTCOMES[counted.kind.lower()].value)
            cost[row] += amount
            requests[row] += amount if counted.kind.islower() else 0
    # Damaged counts may be left out, and what they cost beyond one each is not.
    return ((*row, requests[row], max(0, cost[row])) for row in cost)


def _denial_rows(counts: Mapping[Counted, int]) -> Iterator[tuple[Any, ...]]:
    for counted, amount in counts.items():
        if counted.policy and not counted.kind.isdigit():
            mode = _MODES[counted.kind].value
            yield _moment(counted), counted.client, counted.endpoint, counted.policy, mode, amount


def _crossing_rows(counts: Mapping[Counted, int]) -> Iterator[tuple[Any, ...]]:
    """Where a policy counts everybody together, nobody in particular reached its quota."""
    together = set(Policy.objects.filter(partition=Partition.GLOBAL.value).values_list("slug", flat=True))
    rows: Counter[tuple[Any, ...]] = Counter()
    for counted, amount in counts.items():
        if counted.kind.isdigit():
            client = "" if counted.policy in together else counted.client
            rows[_moment(counted), client, counted.endpoint, counted.policy, int(counted.kind)] += amount
    return ((*row, amount) for row, amount in rows.items())


def _moment(counted: Counted) -> datetime:
    return datetime.fromtimestamp(counted.minute * 60, UTC)
