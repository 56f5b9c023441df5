"""Requests with an ``Idempotency-Key`` that created an object."""

from datetime import timedelta

from django.db import models

KEPT = timedelta(hours=24)
"""How long an ``Idempotency-Key`` is kept."""


class CreatingRequest(models.Model):
    """The key of a request over HTTP that created an object or a change set, kept for :data:`KEPT`, so that the request
    is carried out once."""

    key = models.CharField(max_length=32, primary_key=True)
    """The token, the kind of object and the ``Idempotency-Key`` as one digest, in hexadecimal."""
    digest = models.CharField(max_length=64)
    """The SHA-256 of the body, in hexadecimal."""
    created = models.CharField(max_length=64)
    """The id of the object; empty if a change set was created in its place."""
    change = models.ForeignKey("limits.ChangeSet", null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
