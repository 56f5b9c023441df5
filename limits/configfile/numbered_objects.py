"""Overrides and blocks as single objects, identified by an id of the platform.

Whom they apply to cannot be changed: that is another override or block.
"""

import re
from collections.abc import Mapping
from typing import Any

from limits.configfile.blocks import block_entry
from limits.configfile.export import item_of_block, item_of_override
from limits.configfile.objects import Kind
from limits.configfile.override_entries import OverrideEntry, SegmentOverrideEntry, override_entry
from limits.configfile.overrides import write_limits
from limits.configfile.reading import InvalidConfig
from limits.domain.rule_items import item_of_segment_override
from limits.models import (
    Block,
    Client,
    Override,
    OverrideLimit,
    Plan,
    Policy,
    SegmentOverride,
    SegmentOverrideLimit,
)
from limits.models.clients import overlap_message
from limits.publishing import clients
from limits.publishing.reconciler import go_live
from limits.publishing.rules import Delivery
from ratelimit_enforcer.domain.dates import optional_moment
from ratelimit_enforcer.domain.validation import ValidationProblem

MAX_PK = 2**63 - 1
_OVERRIDE_ID = re.compile(r"(client|segment)-([1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_OF_CLIENT, _OF_SEGMENT = "client", "segment"
_NOT_AN_ID = "is not an id."


class AlreadyExists(Exception):
    """There is an object for the same subject; ``key`` is its id."""

    def __init__(self, kind: Kind, key: str) -> None:
        self.key = key
        super().__init__(f"There is already such a {kind.name}, with the id {key}: change it instead.")


class NumberedKind(Kind):
    """A kind whose items get an id when they are created."""

    identity = "id"

    def _require_same(self, field: str, before: object, after: object) -> None:
        if before != after:
            message = f"cannot be changed: create another {self.name} instead."
            raise InvalidConfig([ValidationProblem((self.section, 0, field), message)])


class _Blocks(NumberedKind):
    name, section, filters = "block", "blocks", {"client": "client_key"}

    def page(self, limit: int, after: str, filters: Mapping[str, str]) -> list[Any]:
        return list(Block.objects.filter(pk__gt=int(after or 0), **filters).order_by("pk")[:limit])

    def find(self, key: str) -> Any:
        return Block.objects.filter(pk=int(key)).first()

    def key_of(self, row: Any) -> str:
        return str(row.pk)

    def key_problem(self, key: str) -> str | None:
        return None if _NUMBER.fullmatch(key) and int(key) <= MAX_PK else _NOT_AN_ID

    def item_of(self, row: Any) -> dict[str, Any]:
        return item_of_block(row.as_domain())

    def write(self, item: dict[str, Any], row: Any, user: Any) -> Any:
        """A new block of a subject whose block has ended takes its place, as in the admin."""
        self.document(item)
        block = block_entry(item)
        client, prefix, network = block.subject
        subject = {"client_key": client, "prefix": prefix, "network": network}
        if row is None:
            row = Block.objects.filter(**subject).first() or Block(created_by=user, **subject)
            if row.pk is not None and not row.has_ended:
                raise AlreadyExists(self, self.key_of(row))
        for field, before, after in zip(subject, row.as_domain().subject, block.subject, strict=True):
            self._require_same(field.removesuffix("_key"), before, after)
        row.ends_at, row.reason = optional_moment(block.ends_at), block.reason
        row.save()
        return row


class _Overrides(NumberedKind):
    name, section = "override", "overrides"
    filters = {"client": "client__key", "plan": "plan__slug", "policy": "policy__slug"}
    """``plan``: overrides of all clients on a plan."""

    def page(self, limit: int, after: str, filters: Mapping[str, str]) -> list[Any]:
        """Those of clients come first."""
        kind, _, number = after.partition("-")
        rows: list[Any] = []
        if kind != _OF_SEGMENT and "plan__slug" not in filters:
            rows += _of_clients().filter(pk__gt=int(number or 0), **filters).order_by("pk")[:limit]
        if len(rows) < limit and "client__key" not in filters:
            above = int(number) if kind == _OF_SEGMENT else 0
            rows += _of_segments().filter(pk__gt=above, **filters).order_by("pk")[: limit - len(rows)]
        return rows

    def find(self, key: str) -> Any:
        kind, _, number = key.partition("-")
        return (_of_clients() if kind == _OF_CLIENT else _of_segments()).filter(pk=int(number)).first()

    def key_of(self, row: Any) -> str:
        return f"{_OF_CLIENT if isinstance(row, Override) else _OF_SEGMENT}-{row.pk}"

    def key_problem(self, key: str) -> str | None:
        match = _OVERRIDE_ID.fullmatch(key)
        return None if match and int(match[2]) <= MAX_PK else _NOT_AN_ID

    def item_of(self, row: Any) -> dict[str, Any]:
        if isinstance(row, Override):
            return item_of_override(row)
        return item_of_segment_override(row.as_domain(), row.reason)

    def write(self, item: dict[str, Any], row: Any, user: Any) -> Any:
        self.document(item)
        entry = override_entry(item)
        if isinstance(entry, OverrideEntry):
            if row is not None:
                self._require_same("client", row.client.key if isinstance(row, Override) else None, entry.client)
            row = self._write_of_client(entry, row or Override(created_by=user))
            write_limits(row, OverrideLimit, entry.limits)
        else:
            if row is not None:
                self._require_same("clients", None if isinstance(row, Override) else row.segment, entry.segment)
            row = self._write_of_segment(entry, row or SegmentOverride(created_by=user))
            write_limits(row, SegmentOverrideLimit, entry.limits)
        return self.find(self.key_of(row))

    def _write_of_client(self, entry: OverrideEntry, row: Override) -> Override:
        row.client, row.policy = Client.objects.get(key=entry.client), Policy.objects.get(slug=entry.policy)
        _set_dates_and_reason(row, entry)
        if other := row.overlapping().first():
            raise InvalidConfig([ValidationProblem((self.section, 0, "starts_at"), overlap_message(other))])
        row.save()
        return row

    def _write_of_segment(self, entry: SegmentOverrideEntry, row: SegmentOverride) -> SegmentOverride:
        segment = entry.segment
        row.policy = Policy.objects.get(slug=entry.policy)
        row.plan = Plan.objects.get(slug=segment.plan) if segment.plan is not None else None
        row.tags, row.prefix = list(segment.tags), segment.prefix
        _set_dates_and_reason(row, entry)
        same = SegmentOverride.objects.filter(policy=row.policy, plan=row.plan, tags=row.tags, prefix=row.prefix)
        if other := same.filter(starts_at=row.starts_at).exclude(pk=row.pk).first():
            raise AlreadyExists(self, self.key_of(other))
        row.save()
        return row

    def deliver(self, row: Any) -> Delivery:
        return clients.deliver([row.client.key]) if isinstance(row, Override) else go_live()


def _set_dates_and_reason(row: Override | SegmentOverride, entry: OverrideEntry | SegmentOverrideEntry) -> None:
    row.starts_at, row.ends_at, row.reason = entry.starts_at, entry.ends_at, entry.reason


def _of_clients() -> Any:
    return Override.objects.select_related("client", "policy").prefetch_related("limits")


def _of_segments() -> Any:
    return SegmentOverride.objects.select_related("plan", "policy").prefetch_related("limits")


BLOCKS = _Blocks()
OVERRIDES = _Overrides()
