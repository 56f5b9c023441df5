"""Row history: who changed a row, when and why (django-simple-history writes it at each save)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from limits.domain.validation import MAX_REASON_LENGTH

BATCH = 2_000
"""Rows of a bulk operation that are written together."""

_reason: ContextVar[str | None] = ContextVar("reason", default=None)


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Rows that are saved inside carry this reason in their history."""
    before = _reason.set(reason or None)
    try:
        yield
    finally:
        _reason.reset(before)


class RowHistory(HistoricalRecords):
    """The history of a model's rows. Bulk operations write it by the functions below."""

    def __init__(self, **options: Any) -> None:
        reason = models.CharField(max_length=MAX_REASON_LENGTH, null=True)
        super().__init__(history_change_reason_field=reason, **options)

    def get_change_reason_for_object(self, instance: models.Model, history_type: str, using: str) -> str | None:
        return _reason.get()


def create_with_history(model: Any, rows: Iterable[models.Model], user: Any = None) -> None:
    """Creates rows in bulk, each with its history. ``user``: who, where no request tells."""
    if new := list(rows):
        bulk_create_with_history(new, model, BATCH, default_user=user, default_change_reason=_reason.get())


def update_with_history(model: Any, rows: Iterable[models.Model], fields: Sequence[str], user: Any = None) -> None:
    """Changes rows in bulk, each with its history. ``user``: who, where no request tells."""
    if changed := list(rows):
        bulk_update_with_history(changed, model, fields, BATCH, default_user=user, default_change_reason=_reason.get())
