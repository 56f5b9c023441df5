"""What still has to be brought to the store. Triggers write these rows."""

from django.db import models


class ClientChange(models.Model):
    """A client changed, or was removed, at this revision."""

    client_key = models.CharField(max_length=256, db_index=True)
    revision = models.BigIntegerField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.client_key} at {self.revision}"


class RuleChange(models.Model):
    """Rules changed, and no publication holds the change yet."""

    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Rules changed at {self.created_at}"
