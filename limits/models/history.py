"""Row history: who changed a row, when and why (django-simple-history writes it at each save)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import models
from django.utils import timezone
from simple_history.models import HistoricalRecords
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from limits.domain.validation import MAX_REASON_LENGTH

BATCH = 2_000
"""Rows of a bulk operation that are written together."""

_reason: ContextVar[str | None] = ContextVar("reason", default=None)
_together: ContextVar[list[models.Model] | None] = ContextVar("together", default=None)


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Rows that are saved inside carry this reason in their history."""
    before = _reason.set(reason or None)
    try:
        yield
    finally:
        _reason.reset(before)


@contextmanager
def history_together() -> Iterator[None]:
    """Histories of rows that are saved or deleted inside are written at the end, a few statements for all
    of them. Use it inside a transaction."""
    records: list[models.Model] = []
    before = _together.set(records)
    try:
        yield
    finally:
        _together.reset(before)
    kinds: dict[Any, None] = dict.fromkeys(map(type, records))
    for model in kinds:
        model._default_manager.bulk_create([each for each in records if type(each) is model], batch_size=BATCH)


class RowHistory(HistoricalRecords):
    """The history of a model's rows. Bulk operations write it by the functions below."""

    def __init__(self, **options: Any) -> None:
        reason = models.CharField(max_length=MAX_REASON_LENGTH, null=True)
        super().__init__(history_change_reason_field=reason, **options)

    def create_historical_record(self, instance: models.Model, history_type: str, using: str | None = None) -> None:
        records = _together.get()
        if records is None:
            super().create_historical_record(instance, history_type, using)
        else:
            records.append(self._record(instance, history_type))

    def _record(self, instance: models.Model, history_type: str) -> models.Model:
        model: type[models.Model] = getattr(instance, self.manager_name).model
        return model(
            history_date=timezone.now(),
            history_type=history_type,
            history_user=self.get_history_user(instance),
            history_change_reason=_reason.get(),
            **{field.attname: getattr(instance, field.attname) for field in self.fields_included(instance)},
        )

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
