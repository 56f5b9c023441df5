"""Row history: who changed a row, when and why (django-simple-history writes it at each save)."""

from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from limits.domain.validation import MAX_REASON_LENGTH


def row_history(**options: Any) -> HistoricalRecords:
    """The history of a model's rows, with a reason as long as everywhere else. Bulk operations
    write none: rules are in their publication, and an import of clients is on record as a whole."""
    return HistoricalRecords(
        history_change_reason_field=models.CharField(max_length=MAX_REASON_LENGTH, null=True), **options
    )
