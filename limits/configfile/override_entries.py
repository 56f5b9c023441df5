"""Overrides in a config file, of clients and of segments, with all checks that do not need the database."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from limits.configfile.items import DATE_FIELDS, client_problems
from limits.domain.rule_items import limits_of_item, moment_of_text, segment_of_item
from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.segments import Segment
from ratelimit_enforcer.domain.validation import ValidationProblem, overlapping, segment_problems


@dataclass(frozen=True, slots=True)
class OverrideEntry:
    """An override in the file; client, policy and start identify it."""

    client: str
    policy: str
    limits: tuple[Limit, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""

    def as_domain(self) -> Override:
        """Returns the override as a domain object."""
        return Override(
            self.policy, self.limits, optional_microseconds(self.starts_at), optional_microseconds(self.ends_at)
        )


@dataclass(frozen=True, slots=True)
class SegmentOverrideEntry:
    """An override of a segment in the file; segment, policy and start identify it."""

    segment: Segment
    policy: str
    limits: tuple[Limit, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""


def override_entry(item: dict[str, Any]) -> OverrideEntry | SegmentOverrideEntry:
    """Returns the entry for one item of the section ``overrides``."""
    fields: dict[str, Any] = {
        "policy": item["policy"],
        "limits": limits_of_item(item),
        "starts_at": moment_of_text(item.get("starts_at")),
        "ends_at": moment_of_text(item.get("ends_at")),
        "reason": item.get("reason", ""),
    }
    if "clients" in item:
        return SegmentOverrideEntry(segment_of_item(item), **fields)
    return OverrideEntry(item["client"], **fields)


def override_problems(items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields a problem for each override without exactly one client or segment, and for each that overlaps with
    an earlier one of the same client and policy, or has the segment, policy and start of an earlier one."""
    yield from client_problems("overrides", items)
    subjects = list(_subject_problems(items))
    yield from subjects
    if not subjects and all(moment_of_text(item[name]) for item in items for name in DATE_FIELDS if item.get(name)):
        entries = [override_entry(item) for item in items]
        yield from _overlap_problems(entries)
        yield from _duplicate_problems(entries)


def _subject_problems(items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields a problem for each override that names both a client and a segment, and for each wrong segment."""
    for at, item in enumerate(items):
        if "client" in item and "clients" in item:
            yield ValidationProblem(("overrides", at, "clients"), "cannot be combined with client.")
        for field_name, message in segment_problems(segment_of_item(item)) if "clients" in item else ():
            location = ("clients", field_name) if field_name else ("clients",)
            yield ValidationProblem(("overrides", at, *location), message)


def _overlap_problems(entries: Sequence[OverrideEntry | SegmentOverrideEntry]) -> Iterator[ValidationProblem]:
    groups: dict[tuple[str, str], list[tuple[int, Override]]] = {}
    for at, entry in enumerate(entries):
        if isinstance(entry, OverrideEntry):
            groups.setdefault((entry.client, entry.policy), []).append((at, entry.as_domain()))
    clashes: dict[int, int] = {}
    for group in groups.values():
        places = [at for at, _ in group]
        for later, earlier in overlapping([override for _, override in group]):
            clashes.setdefault(places[later], places[earlier])
    for at in sorted(clashes):
        yield ValidationProblem(("overrides", at), f"overlaps overrides[{clashes[at]}] for the same client and policy.")


def _duplicate_problems(entries: Sequence[OverrideEntry | SegmentOverrideEntry]) -> Iterator[ValidationProblem]:
    first: dict[Hashable, int] = {}
    for at, entry in enumerate(entries):
        if isinstance(entry, SegmentOverrideEntry):
            earlier = first.setdefault((entry.segment, entry.policy, entry.starts_at), at)
            if earlier != at:
                message = f"is a duplicate of overrides[{earlier}]: the same clients, policy and start."
                yield ValidationProblem(("overrides", at), message)
