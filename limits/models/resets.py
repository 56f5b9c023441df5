"""Resets: who had a client's counters forgotten, when and why."""

from django.db import models

from limits.domain.client import MAX_KEY_LENGTH
from limits.domain.validation import MAX_REASON_LENGTH


class CounterReset(models.Model):
    """The counters of a client were forgotten. The client need not be registered."""

    client_key = models.CharField("client", max_length=MAX_KEY_LENGTH, db_index=True)
    reason = models.CharField(max_length=MAX_REASON_LENGTH)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.client_key} at {self.created_at:%Y-%m-%d %H:%M}"
