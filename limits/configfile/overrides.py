"""Overrides in a config file: references to what exists, and rows of clients and segments."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from limits.configfile.document import Document
from limits.configfile.override_entries import OverrideEntry, SegmentOverrideEntry
from limits.configfile.reading import InvalidConfig
from limits.configfile.rows import limit_rows, write_row
from limits.models import Client, Override, OverrideLimit, Plan, Policy, SegmentOverride, SegmentOverrideLimit
from limits.models.history import create_with_history
from ratelimit_enforcer.domain.client import Override as DomainOverride
from ratelimit_enforcer.domain.dates import optional_microseconds, optional_moment
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.segments import Segment
from ratelimit_enforcer.domain.segments import SegmentOverride as DomainSegmentOverride
from ratelimit_enforcer.domain.validation import NOT_OVERRIDABLE, ValidationProblem, overlapping

ClientIdentity = tuple[str, str, datetime | None]
"""Client, policy and start."""

SegmentIdentity = tuple[Segment, str, datetime | None]
"""Segment, policy and start."""


def override_reference_problems(document: Document, plans: set[str]) -> Iterator[ValidationProblem]:
    """Yields a problem for each client, policy and plan that does not exist, and for each policy that cannot be
    overridden."""
    entries = document.overrides or ()
    named = [entry.client for _, entry in _of_clients(entries)]
    clients = {client.key for client in document.clients or ()}
    clients |= set(Client.objects.filter(key__in=named).values_list("key", flat=True))
    partitions = dict(Policy.objects.values_list("slug", "partition"))
    partitions |= {policy.slug: policy.partition.value for policy in document.policies or ()}
    for at, entry in enumerate(entries):
        yield from (
            ValidationProblem(("overrides", at, *field), message) for field, message in _subject(entry, clients, plans)
        )
        if entry.policy not in partitions:
            yield ValidationProblem(("overrides", at, "policy"), f"there is no policy “{entry.policy}”.")
        elif partitions[entry.policy] != Partition.CLIENT:
            yield ValidationProblem(("overrides", at, "policy"), NOT_OVERRIDABLE)


def _subject(
    entry: OverrideEntry | SegmentOverrideEntry, clients: set[str], plans: set[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(entry, OverrideEntry):
        if entry.client not in clients:
            yield ("client",), f"there is no client “{entry.client}”."
    elif entry.segment.plan is not None and entry.segment.plan not in plans:
        yield ("clients", "plan"), f"there is no plan “{entry.segment.plan}”."


def write_overrides(entries: Sequence[OverrideEntry | SegmentOverrideEntry]) -> None:
    """Creates and changes overrides, which are identified by client or segment, policy and start."""
    of_clients = dict(_of_clients(entries))
    rows = _rows_of(list(of_clients.values()))
    _reject_overlaps(of_clients, rows)
    # First those that become shorter, new ones last: so no two ever overlap in between.
    for entry in sorted(of_clients.values(), key=lambda entry: _order(entry, rows.get(_identity(entry)))):
        _write_override(entry)
    write_segment_overrides([entry for entry in entries if isinstance(entry, SegmentOverrideEntry)])


def prune_overrides(entries: Sequence[OverrideEntry | SegmentOverrideEntry]) -> None:
    """Deletes the overrides that are not among the entries."""
    named = {_identity(entry) for _, entry in _of_clients(entries)}
    rows = Override.objects.select_related("client", "policy")
    unnamed = [row.pk for row in rows if (row.client.key, row.policy.slug, row.starts_at) not in named]
    Override.objects.filter(pk__in=unnamed).delete()
    prune_segment_overrides([entry for entry in entries if isinstance(entry, SegmentOverrideEntry)])


def prune_segment_overrides(entries: Sequence[SegmentOverrideEntry]) -> None:
    """Deletes the overrides of segments that are not among the entries."""
    named = {_segment_identity(entry) for entry in entries}
    unnamed = [row.pk for identity, row in _segment_rows().items() if identity not in named]
    SegmentOverride.objects.filter(pk__in=unnamed).delete()


def _of_clients(entries: Sequence[OverrideEntry | SegmentOverrideEntry]) -> Iterator[tuple[int, OverrideEntry]]:
    """Yields position in the file and entry of the overrides of clients."""
    return ((at, entry) for at, entry in enumerate(entries) if isinstance(entry, OverrideEntry))


def _rows_of(entries: Sequence[OverrideEntry]) -> dict[ClientIdentity, Override]:
    """Returns all overrides of the clients that have overrides in the file."""
    keys = {entry.client for entry in entries}
    rows = Override.objects.filter(client__key__in=keys).select_related("client", "policy")
    return {(row.client.key, row.policy.slug, row.starts_at): row for row in rows}


def _identity(entry: OverrideEntry) -> ClientIdentity:
    return entry.client, entry.policy, entry.starts_at


def _order(entry: OverrideEntry, row: Override | None) -> int:
    if row is None:
        return 2
    shrinks = entry.ends_at is not None and (row.ends_at is None or entry.ends_at < row.ends_at)
    return 0 if shrinks else 1


def _reject_overlaps(entries: Mapping[int, OverrideEntry], rows: Mapping[ClientIdentity, Override]) -> None:
    """Rows named in the file are compared as the file defines them; the others as they are."""
    named = {_identity(entry) for entry in entries.values()}
    groups: defaultdict[tuple[str, str], list[tuple[int | None, DomainOverride]]] = defaultdict(list)
    for (client, policy, _), row in ((identity, row) for identity, row in rows.items() if identity not in named):
        groups[client, policy].append((None, _period(row)))
    for at, entry in entries.items():
        groups[entry.client, entry.policy].append((at, entry.as_domain()))
    places = sorted({place for group in groups.values() for place in _overlapping(group)})
    if places:
        message = "overlaps another override of the same client and policy."
        raise InvalidConfig([ValidationProblem(("overrides", at), message) for at in places])


def _overlapping(group: list[tuple[int | None, DomainOverride]]) -> Iterator[int]:
    for pair in overlapping([override for _, override in group]):
        yield from (at for at in (group[position][0] for position in pair) if at is not None)


def _period(row: Override) -> DomainOverride:
    return DomainOverride(row.policy.slug, (), optional_microseconds(row.starts_at), optional_microseconds(row.ends_at))


def _write_override(entry: OverrideEntry) -> None:
    client, policy = Client.objects.get(key=entry.client), Policy.objects.get(slug=entry.policy)
    identity = {"client": client, "policy": policy, "starts_at": entry.starts_at}
    row = write_row(Override, identity, {"ends_at": entry.ends_at, "reason": entry.reason})
    write_limits(row, OverrideLimit, entry.limits)


def write_limits(row: Any, model: Any, limits: Sequence[Limit]) -> None:
    """Replaces the limits of an override, unless they are these already."""
    if tuple(limit.as_domain() for limit in row.limits.all()) != tuple(limits):
        row.limits.all().delete()
        create_with_history(model, limit_rows(model, limits, override=row))


def write_segment_overrides(entries: Sequence[SegmentOverrideEntry]) -> None:
    """Creates and changes overrides of segments, which are identified by segment, policy and start."""
    plans = {row.slug: row for row in Plan.objects.all()}
    policies = {row.slug: row for row in Policy.objects.all()}
    rows = _segment_rows()
    for entry in entries:
        segment = entry.segment
        row = rows.get(_segment_identity(entry)) or SegmentOverride(
            policy=policies[entry.policy],
            plan=plans[segment.plan] if segment.plan is not None else None,
            tags=list(segment.tags),
            prefix=segment.prefix,
            starts_at=entry.starts_at,
        )
        if row.pk is None or (row.ends_at, row.reason) != (entry.ends_at, entry.reason):
            row.ends_at, row.reason = entry.ends_at, entry.reason
            row.save()
        write_limits(row, SegmentOverrideLimit, entry.limits)


def _segment_identity(entry: SegmentOverrideEntry) -> SegmentIdentity:
    return entry.segment, entry.policy, entry.starts_at


def _segment_rows() -> dict[SegmentIdentity, SegmentOverride]:
    rows = SegmentOverride.objects.order_by("pk").select_related("plan", "policy").prefetch_related("limits")
    return {(row.segment, row.policy.slug, row.starts_at): row for row in rows}


def restore_segment_overrides(ruleset: Ruleset) -> None:
    """Makes the overrides of segments those of ``ruleset``, with the latest reasons, which rulesets do not
    contain. Their order decides between equally specific overrides: where it differs, all rows are new."""
    were = SegmentOverride.history.order_by("history_id").values_list(*_HISTORICAL_IDENTITY, "reason")
    reasons = {(tuple(tags), *identity): reason for tags, *identity, reason in were}
    entries = [_entry(override, reasons) for override in ruleset.segment_overrides]
    prune_segment_overrides(entries)
    write_segment_overrides(entries)
    if tuple(row.as_domain() for row in _segment_rows().values()) != ruleset.segment_overrides:
        SegmentOverride.objects.all().delete()
        write_segment_overrides(entries)


_HISTORICAL_IDENTITY = ("tags", "plan__slug", "prefix", "policy__slug", "starts_at")


def _entry(override: DomainSegmentOverride, reasons: Mapping[Any, str]) -> SegmentOverrideEntry:
    segment = override.segment
    starts_at, ends_at = optional_moment(override.starts_at), optional_moment(override.ends_at)
    reason = reasons.get((segment.tags, segment.plan, segment.prefix, override.policy, starts_at), "")
    return SegmentOverrideEntry(segment, override.policy, override.limits, starts_at, ends_at, reason)
