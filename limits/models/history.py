"""Row history: who changed a row, when and why (django-simple-history writes it at each save)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import models
from django.utils import timezone
from simple_history.models import HistoricalRecords
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

BATCH_SIZE = 2_000
"""Rows of a bulk operation that are written in one statement."""

_reason: ContextVar[str | None] = ContextVar("reason", default=None)
_user: ContextVar[Any] = ContextVar("user", default=None)
_batched_records: ContextVar[list[models.Model] | None] = ContextVar("together", default=None)


@contextmanager
def change_reason(reason: str) -> Iterator[None]:
    """Records ``reason`` in the history of all rows that are saved inside."""
    before = _reason.set(reason or None)
    try:
        yield
    finally:
        _reason.reset(before)


@contextmanager
def written_by(user: Any) -> Iterator[None]:
    """Records ``user`` (None: nobody) as the author of all rows that are saved inside without a request of a user."""
    before = _user.set(user)
    try:
        yield
    finally:
        _user.reset(before)


@contextmanager
def batched_history() -> Iterator[None]:
    """Writes the history of rows saved or deleted inside at the end, in a few statements. Use it inside a
    transaction."""
    records: list[models.Model] = []
    before = _batched_records.set(records)
    try:
        yield
    finally:
        _batched_records.reset(before)
    kinds: dict[Any, None] = dict.fromkeys(map(type, records))
    for model in kinds:
        model._default_manager.bulk_create([each for each in records if type(each) is model], batch_size=BATCH_SIZE)


class RowHistory(HistoricalRecords):
    """The history of a model's rows. For bulk operations, use the functions below."""

    def __init__(self, **options: Any) -> None:
        reason = models.CharField(max_length=MAX_REASON_LENGTH, null=True)
        super().__init__(history_change_reason_field=reason, **options)

    def get_history_user(self, instance: models.Model) -> Any:
        """The user of the request, else that of :func:`written_by`."""
        return super().get_history_user(instance) or _user.get()

    def create_historical_record(self, instance: models.Model, history_type: str, using: str | None = None) -> None:
        records = _batched_records.get()
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
    """Creates rows in bulk, with a history record for each. ``user``: the author, if there is no request to
    take it from."""
    if new := list(rows):
        bulk_create_with_history(new, model, BATCH_SIZE, default_user=user, default_change_reason=_reason.get())


def update_with_history(model: Any, rows: Iterable[models.Model], fields: Sequence[str], user: Any = None) -> None:
    """Updates ``fields`` of rows in bulk, with a history record for each. ``user``: the author, if there is
    no request to take it from."""
    if changed := list(rows):
        bulk_update_with_history(
            changed, model, fields, BATCH_SIZE, default_user=user, default_change_reason=_reason.get()
        )
