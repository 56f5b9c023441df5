"""Row history: who changed a row, when and why (django-simple-history writes it at each save)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from limits.domain.validation import MAX_REASON_LENGTH

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
    """The history of a model's rows. Bulk operations write none: rules are in their publication,
    and an import of clients is on record as a whole."""

    def __init__(self, **options: Any) -> None:
        reason = models.CharField(max_length=MAX_REASON_LENGTH, null=True)
        super().__init__(history_change_reason_field=reason, **options)

    def get_change_reason_for_object(self, instance: models.Model, history_type: str, using: str) -> str | None:
        return _reason.get()
