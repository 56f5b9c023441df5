"""The history of a row and the rows that belong to it: author, time, reason and changes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from limits.models.channel_secrets import reference_to
from ratelimit_enforcer.domain.dates import date_and_time

MAX_RECORDS = 200
"""Number of records that are read from each table."""

_HIDDEN = ("id", "position", "shape", "created_at", "updated_at", "digest", "created_by")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one row. ``changes``: (field, before, after), only for changed fields."""

    at: datetime
    user: str
    reason: str
    summary: str
    changes: tuple[tuple[str, str, str], ...] = ()


class ShowsHistory:
    """A mixin for the admin of rows with a history. ``history_of_parts`` adds the rows that belong to one."""

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        return ()

    def has_history(self, row: Any) -> bool:
        """Whether any history is recorded."""
        return any(history.exists() for history in self._histories(row))

    def _histories(self, row: Any) -> list[QuerySet[Any]]:
        return [type(row).history.filter(id=row.pk), *self.history_of_parts(row.pk)]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = get_object_or_404(self.model, pk=object_id)  # type: ignore[attr-defined]
        if not self.has_view_or_change_permission(request, row):  # type: ignore[attr-defined]
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": f"History of “{row}”",
            "opts": self.opts,  # type: ignore[attr-defined]
            "object": row,
            "entries": entries(self._histories(row)),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/limits/row_history.html", context)


def entries(histories: Iterable[QuerySet[Any]]) -> list[Entry]:
    """Returns the entries of these histories, newest first."""
    found = [entry for history in histories for entry in _entries(history)]
    return sorted(found, key=lambda entry: entry.at, reverse=True)


def _entries(history: QuerySet[Any]) -> Iterator[Entry]:
    before: dict[object, Any] = {}
    for record in reversed(history.select_related("history_user").order_by("-history_id")[:MAX_RECORDS]):
        if entry := _entry(record, before.get(record.id)):
            yield entry
        before[record.id] = record


def _entry(record: Any, before: Any) -> Entry | None:
    """Returns None for a save that changed nothing."""
    verb = {"+": "added", "~": "changed", "-": "deleted"}[record.history_type]
    changes = tuple(_changes(before, record)) if before is not None and verb == "changed" else ()
    if before is not None and verb == "changed" and not changes:
        return None
    row = f"{record.instance_type._meta.verbose_name} “{_named(record)}”"
    user = str(record.history_user) if record.history_user else "outside the admin"
    return Entry(record.history_date, user, record.history_change_reason or "", f"{row} {verb}", changes)


def _named(record: Any) -> str:
    try:
        return str(record.instance)
    except ObjectDoesNotExist:
        return f"#{record.id}"


def _changes(before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    for field in after.tracked_fields:
        old, new = getattr(before, field.attname), getattr(after, field.attname)
        if field.name not in _HIDDEN and old != new:
            yield str(field.verbose_name), _shown(field, before, old), _shown(field, after, new)


def _shown(field: "Field[Any, Any]", record: Model, value: object) -> str:
    if value in (None, "", []):
        return "none"
    if field.name in getattr(record.instance_type, "secret_fields", ()):  # type: ignore[attr-defined]
        value = [reference_to(secret) for secret in (value if isinstance(value, list) else [str(value)])]
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not field.is_relation:
        return date_and_time(value) if isinstance(value, datetime) else str(value)
    try:
        return str(getattr(record, field.name))
    except ObjectDoesNotExist:
        return f"#{value} (deleted)"
